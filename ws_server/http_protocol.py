"""Uvicorn's HTTP protocol, with answers that a client of HTTP/1.0 understands.

HTTP/1.0 has no chunks. An answer whose length is not known in advance, such as a stream, ends there
when the connection is closed, which Uvicorn does after each answer to such a client.
"""

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class HttpProtocol(HttpToolsProtocol):
    """Serve one connection."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            # The cycle is made, and its task started, by Uvicorn; it has not sent anything yet.
            self.cycle.__class__ = _UnchunkedCycle


class _UnchunkedCycle(RequestResponseCycle):
    """A request and its answer, which is never sent in chunks."""

    _until_close = False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            self._until_close = b"content-length" not in names
            if self._until_close:
                self.chunked_encoding = False
        elif self._until_close and message["type"] == "http.response.body":
            # Uvicorn compares the length of the body with the one that was announced.
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
