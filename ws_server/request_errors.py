"""Errors of a request that did not become a turn; the rest of the tree is in `turns/errors.py`.

* TurnError
    * Unauthorized               401
    * KeyEnded                   401, a client token has expired
    * Forbidden                  403
    * BoundToken                 403, a client token is for something else
    * ServerKeyRequired          403, a client token can't make client tokens, nor manage webhooks
    * WebhookEndpointNotFound    404
    * WebhookEndpointChanged     409, its secret was replaced by another request meanwhile
    * NotServed                  404, no route has this path
    * RequestTooSlow             408, a request did not arrive in time
    * FileTooLarge               413
    * BodyTooLarge               413, a request's body or frame
    * UnsupportedContentEncoding 415, the body is compressed in a way that is not supported
    * TooManyConnections         429, an address or an owner has as many as it may have
    * TooManyFeeds               429, a socket or an owner follows as many conversations as it may
    * TooManyWrongKeys           429, an address has sent many unknown keys
    * HeadersTooLarge            431, a request's line and headers
"""

from collections.abc import Iterable, Sequence
from math import ceil

from turnstream.turns.errors import TurnError


class FileTooLarge(TurnError):
    """An upload has more bytes than a file may have."""

    status = 413
    type = "invalid_request_error"
    code = "file_too_large"
    param = "file"

    def __init__(self, most: int) -> None:
        super().__init__(f"A file may have {most} bytes at most.")


class BodyTooLarge(TurnError):
    """A request's body, decoded, or a frame has more bytes than it may have."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"A request may have {most} bytes at most.")


class UnsupportedContentEncoding(TurnError):
    """A request's body has a content coding that is not supported."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_content_encoding"

    def __init__(self, coding: str, supported: Iterable[str]) -> None:
        codings = ", ".join(supported)
        super().__init__(
            f"The Content-Encoding {coding!r} is not supported: send the body as it is,"
            f" or in one of {codings}."
        )
        self.headers = {"accept-encoding": codings}


class NotServed(TurnError):
    """No route has this path."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"

    def __init__(self, path: str, served: Sequence[str] = ()) -> None:
        super().__init__(
            f"Nothing is served at {path[:200]}."
            + (f" Served are {', '.join(served)}." if served else "")
        )


class TooManyConnections(TurnError):
    """An address or an owner has as many connections as it may have."""

    status = 429
    type = "rate_limit_error"
    code = "too_many_connections"
    retry_seconds = 5

    def __init__(self, holder: str, most: int) -> None:
        super().__init__(f"This {holder} has {most} connections, its maximum. Close one first.")


class TooManyFeeds(TurnError):
    """A socket or an owner follows as many conversations as it may."""

    status = 429
    type = "rate_limit_error"
    code = "too_many_feeds"
    retry_seconds = 5

    def __init__(self, holder: str, most: int) -> None:
        super().__init__(
            f"This {holder} follows {most} conversations, its maximum. Unfollow one first."
        )


class TooManyWrongKeys(TurnError):
    """An address has sent many unknown keys: those that it has not used before wait."""

    status = 429
    type = "rate_limit_error"
    code = "too_many_wrong_keys"

    def __init__(self, wait_seconds: float) -> None:
        self.retry_seconds = max(1, ceil(wait_seconds))
        super().__init__(
            "Too many unknown API keys came from this address."
            f" Try again in {self.retry_seconds} s."
        )


class HeadersTooLarge(TurnError):
    """A request's line and headers are larger than any client's."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"

    def __init__(self, most_bytes: int, most: int) -> None:
        super().__init__(
            f"A request may have {most} headers, together {most_bytes} bytes with its first line."
        )


class RequestTooSlow(TurnError):
    """A request did not arrive in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_too_slow"
    retry_seconds = 1


class Unauthorized(TurnError):
    """The API key is missing or unknown."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class BoundToken(TurnError):
    """A client token is bound to one conversation or response, and the request is about more."""

    status = 403
    type = "invalid_request_error"
    code = "token_bound"

    def __init__(self, bound_to: str) -> None:
        super().__init__(f"This client token is good for {bound_to} only.")


class WebhookEndpointNotFound(TurnError):
    """There is no such webhook endpoint for this owner."""

    status = 404
    type = "invalid_request_error"
    code = "webhook_endpoint_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Webhook endpoint with id '{id[:80]}' not found.")


class WebhookEndpointChanged(TurnError):
    """The endpoint's secret was replaced by another request meanwhile; nothing was changed."""

    status = 409
    type = "invalid_request_error"
    code = "webhook_endpoint_changed"

    def __init__(self, id: str) -> None:
        super().__init__(f"The secret of '{id}' was replaced by another request just now.")


class ServerKeyRequired(TurnError):
    """A request that needs a server's key was made with a client token."""

    status = 403
    type = "invalid_request_error"
    code = "server_key_required"


class KeyEnded(TurnError):
    """The client token that a socket was opened with has expired."""

    status = 401
    type = "invalid_request_error"
    code = "token_expired"


class Forbidden(TurnError):
    """The request has the `Origin` of a page that is not allowed."""

    status = 403
    type = "invalid_request_error"
    code = "origin_not_allowed"
