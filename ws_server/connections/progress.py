"""How much of a request has arrived, in bytes as they came and as the parser reported them.

The parser reports a header when it is whole, a body as it comes, and chunk sizes not at all. What
was fed to it and not reported is bounded too.
"""

from turnstream.turns.errors import BadRequest
from turnstream.ws_server.connections.limits import (
    FRAMING_BYTES,
    FRAMING_RATIO,
    HEAD_BYTES,
    HEADERS,
    UNWANTED_BYTES,
)
from turnstream.ws_server.request_errors import HeadersTooLarge


class Progress:
    """Count one request after the other; refuse what has grown too large."""

    __slots__ = (
        "_body_fed",
        "_head_bytes",
        "_head_fed",
        "_headers",
        "body_bytes",
        "in_body",
        "in_request",
        "unwanted",
    )

    def __init__(self) -> None:
        #: Whether a request has begun and has not ended, and whether its head is complete.
        self.in_request = self.in_body = False
        #: Bytes fed while a head was incomplete, and what was reported of it; then of trailers.
        self._head_fed = self._head_bytes = self._headers = 0
        #: Bytes fed while a body was incomplete.
        self._body_fed = 0
        #: Bytes of the body that were reported, and of those that nobody wants any more.
        self.body_bytes = self.unwanted = 0

    @property
    def head_incomplete(self) -> bool:
        """Return whether anything of a head has arrived, if only an empty line."""
        return not self.in_body and (self.in_request or self._head_fed > 0)

    def fed(self, size: int) -> None:
        """Count bytes that the parser gets."""
        if self.in_body:
            self._body_fed += size
        else:
            self._head_fed += size

    def begin(self) -> None:
        """Begin a request."""
        self.in_request = True
        self._head_bytes = self._headers = 0

    def line(self, size: int) -> None:
        """Count bytes of the request's line.

        Raises:
            HeadersTooLarge: there are too many.
        """
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise HeadersTooLarge(HEAD_BYTES, HEADERS)

    def header(self, size: int) -> None:
        """Count a header or, in a body, a trailer.

        Raises:
            HeadersTooLarge: there are too many, or too many bytes of them.
        """
        self._headers += 1
        self.line(size)
        if self._headers > HEADERS:
            raise HeadersTooLarge(HEAD_BYTES, HEADERS)

    def head_complete(self) -> None:
        """Begin the body."""
        self.in_body = True
        self._head_fed = self._head_bytes = self._headers = 0
        self._body_fed = self.body_bytes = self.unwanted = 0

    def body(self, size: int, *, wanted: bool) -> None:
        """Count bytes of the body."""
        self.body_bytes += size
        if not wanted:
            self.unwanted += size

    def complete(self) -> None:
        """End the request."""
        self.in_request = self.in_body = False

    def check(self) -> None:
        """Look at what the parser has not reported.

        Raises:
            HeadersTooLarge: the head is incomplete and too large.
            BadRequest: a body is mostly chunk sizes and trailers, or much of it came after the
                request was answered.
        """
        if not self.in_body and self._head_fed > HEAD_BYTES:
            raise HeadersTooLarge(HEAD_BYTES, HEADERS)
        framing = self._body_fed - self.body_bytes
        if self.in_body and framing > FRAMING_BYTES + FRAMING_RATIO * self.body_bytes:
            raise BadRequest("The body is mostly framing.", code="invalid_http")
        if self.in_body and self.unwanted > UNWANTED_BYTES:
            raise BadRequest("The rest of the body is not read.", code="invalid_http")
