"""A running service, as a bulk run uses it: upload, make a batch, look at it, download."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

#: How long one answer may take; an upload may be long in coming to its end.
ANSWER_SECONDS = 60.0
#: Between two looks at a batch, and before a service that is away is asked again.
PAUSE_SECONDS = 0.5
CHUNK = 256 * 1024

Json = dict[str, Any]


class ServiceAway(Exception):
    """The service can't be reached; the message says where."""


class Refused(Exception):
    """The service will not do what it was asked; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BulkService:
    """Talks to one service."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        self._http = httpx2.Client(
            base_url=f"{url}/v1", headers=headers, timeout=ANSWER_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Let go of its connections."""
        self._http.close()

    def upload(self, path: Path) -> str:
        """Send a file of requests; gives its id.

        Raises:
            ServiceAway, Refused
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
        """Make the batch of a key, once.

        Raises:
            ServiceAway, Refused
        """
        body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window}
        return self._once("POST", "/batches", json=body, headers={"Idempotency-Key": key})

    def batch(self, id: str, away: Callable[[], None]) -> Json:
        """Look at a batch, for as long as it takes; `away` is called while nobody answers.

        Raises:
            Refused: there is no such batch.
        """
        while True:
            try:
                return self._once("GET", f"/batches/{id}")
            except ServiceAway:
                away()
                time.sleep(PAUSE_SECONDS)

    def download(self, file_id: str, path: Path, away: Callable[[], None]) -> None:
        """Add a file's content to the end of one of ours.

        Raises:
            Refused: there is no such file.
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
            except (httpx2.TransportError, ServiceAway):
                away()
                time.sleep(PAUSE_SECONDS)

    def _once(self, method: str, path: str, **options: Any) -> Json:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as exc:
            raise ServiceAway(f"nobody answers at {self._url}: {exc}") from exc
        _check(answer)
        body: Json = answer.json()
        return body


def _check(answer: httpx2.Response) -> None:
    if answer.is_success:
        return
    try:
        message = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"status {answer.status_code}"
    if answer.status_code >= 500 or answer.status_code == 429:
        raise ServiceAway(message)
    raise Refused(answer.status_code, message)
