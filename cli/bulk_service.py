"""A client of files and batches: upload, create a batch, poll it, download."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from turnstream.client import Json, RequestRefused, Unreachable
from turnstream.client.http import check

#: Timeout of a request; the answer to an upload comes after its last byte.
ANSWER_SECONDS = 60.0
#: Interval of polling a batch, and pause before a retry while the service is unavailable.
PAUSE_SECONDS = 0.5
CHUNK = 256 * 1024


class BulkService:
    """A connection to one service."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        self._http = httpx2.Client(
            base_url=f"{url}/v1", headers=headers, timeout=ANSWER_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def upload(self, path: Path) -> str:
        """Upload a file of requests; return its id.

        Raises:
            Unreachable, RequestRefused
        """
        with path.open("rb") as content:
            return str(
                self._once(
                    "POST",
                    "/files",
                    data={"purpose": "batch"},
                    files={"file": (path.name, content)},
                )["id"]
            )

    def create(self, file_id: str, endpoint: str, window: str, key: str) -> Json:
        """Create a batch; for the same key return the one that exists.

        Raises:
            Unreachable, RequestRefused
        """
        body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window}
        return self._once("POST", "/batches", json=body, headers={"Idempotency-Key": key})

    def cancel(self, id: str) -> Json:
        """Answer no further line of a batch.

        Raises:
            Unreachable, RequestRefused
        """
        return self._once("POST", f"/batches/{id}/cancel")

    def batch(self, id: str, unavailable: Callable[[], None]) -> Json:
        """Return a batch; retry, and call `unavailable`, while the service cannot be reached.

        Raises:
            RequestRefused: there is no such batch.
        """
        while True:
            try:
                return self._once("GET", f"/batches/{id}")
            except Unreachable:
                unavailable()
                time.sleep(PAUSE_SECONDS)

    def download(self, file_id: str, path: Path, unavailable: Callable[[], None]) -> None:
        """Append the content of a file to a local one; retry like `batch`.

        Raises:
            RequestRefused: there is no such file.
        """
        begin = path.stat().st_size if path.exists() else 0
        while True:
            try:
                with path.open("ab") as out:
                    out.truncate(begin)
                    with self._http.stream("GET", f"/files/{file_id}/content") as answer:
                        if not answer.is_success:
                            answer.read()
                        _check(answer)
                        for chunk in answer.iter_bytes(CHUNK):
                            out.write(chunk)
                return
            except (httpx2.TransportError, Unreachable):
                unavailable()
                time.sleep(PAUSE_SECONDS)

    def _once(self, method: str, path: str, **options: Any) -> Json:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as exc:
            raise Unreachable(f"cannot connect to {self._url}: {exc}") from exc
        _check(answer)
        body: Json = answer.json()
        return body


def _check(answer: httpx2.Response) -> None:
    """Raise what an answer is refused with; an answer that may be another one later is a pause."""
    try:
        check(answer)
    except RequestRefused as exc:
        if exc.status >= 500 or exc.status == 429:
            raise Unreachable(str(exc)) from exc
        raise
