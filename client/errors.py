"""What a client can run into.

* ClientError
    * Unreachable       no connection for as long as the client retries
    * RequestRefused    the service refused a request; `code` is the service's
    * TurnFailed        the turn was accepted, and failed; `code` is the service's
    * ClientClosed      the client was closed before the turn had ended
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of all errors that a client raises."""


class Unreachable(ClientError):
    """There was no connection for as long as the client retries.

    A turn that was submitted goes on: `resume` it later by its id, or submit it again under its
    idempotency key.
    """


class ClientClosed(ClientError):
    """The client was closed before the turn had ended; the turn goes on."""


class RequestRefused(ClientError):
    """The service refused a request."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        #: Stable; docs/wire.md lists them.
        self.code = code
        #: The status that it has over HTTP.
        self.status = status
        #: The field that it is about.
        self.param = param
        #: Seconds after which a retry may succeed; None: a retry does not help.
        self.retry_after = retry_after


class TurnFailed(ClientError):
    """The turn was accepted, and failed."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(body: object, status: int, headers: Mapping[str, str]) -> RequestRefused:
    """Return the error that a body describes, `{"error": …}`, whoever answered.

    Args:
        headers: with names in lower case; `retry-after` is used.
    """
    error: Any = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        # Not the service but something before it, such as a proxy.
        error = {}
    return RequestRefused(
        str(error.get("message") or f"The server answered with status {status}."),
        code=str(error.get("code") or f"http_{status}"),
        status=status,
        param=error.get("param"),
        retry_after=_seconds(headers.get("retry-after"), status),
    )


def _seconds(retry_after: str | None, status: int) -> float | None:
    try:
        return max(0.0, float(retry_after or ""))
    except ValueError:
        # A date, or nothing: proxies that are without a server say neither.
        return 1.0 if status in (429, 502, 503, 504) else None
