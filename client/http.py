"""What a client asks over HTTP: stored responses, their input, and models."""

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnstream.client.address import Address
from turnstream.client.errors import Unreachable, refusal
from turnstream.client.event import Json

if TYPE_CHECKING:
    import httpx2


class HttpCalls:
    """Requests to one service; connections are opened when they are needed."""

    def __init__(
        self,
        address: Address,
        headers: Mapping[str, str],
        timeout: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._address = address
        self._headers = headers
        self._timeout = timeout
        self._tls = tls
        self._http: httpx2.AsyncClient | None = None

    async def call(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Return the answer's JSON.

        Raises:
            RequestRefused, Unreachable
        """
        import httpx2  # most clients use their socket only

        if self._http is None:
            self._http = httpx2.AsyncClient(
                base_url=f"{self._address.http}/v1",
                headers=dict(self._headers),
                timeout=self._timeout,
                trust_env=False,
                verify=True if self._tls is None else self._tls,
            )
        try:
            answer = await self._http.request(method, path, params=dict(query or {}))
        except httpx2.TransportError as exc:
            said = str(exc) or type(exc).__name__
            raise Unreachable(f"cannot connect to {self._address.url}: {said}") from exc
        check(answer)
        body: Json = answer.json()
        return body

    async def close(self) -> None:
        """Close its connections."""
        if self._http is not None:
            await self._http.aclose()


def check(answer: "httpx2.Response") -> None:
    """Raise what an answer is refused with, if it is.

    Raises:
        RequestRefused
    """
    if answer.is_success:
        return
    try:
        body: Any = answer.json()
    except ValueError:
        body = None
    raise refusal(body, answer.status_code, answer.headers)
