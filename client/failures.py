"""Reads what a connection that failed says of it."""

import os

import msgspec
from websockets.exceptions import InvalidStatus

from turnstream.client.errors import RequestRefused, refusal


def refusal_of(answer: InvalidStatus) -> RequestRefused:
    """Return what a refused handshake says."""
    response = answer.response
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    try:
        body = msgspec.json.decode(response.body or b"")
    except msgspec.DecodeError:
        body = None
    return refusal(body, response.status_code, headers)


def check_handshake(answer: InvalidStatus) -> None:
    """Raise what a refused handshake says, unless a retry may help.

    Raises:
        RequestRefused
    """
    error = refusal_of(answer)
    if error.retry_after is None and error.status < 500:
        raise error from answer


def too_large() -> RequestRefused:
    """Return the error of a message that closed the socket by its size."""
    return RequestRefused(
        "The request is larger than the server reads.", code="request_too_large", status=413
    )


def words(reason: Exception) -> str:
    """Return what an error of a connection says, in a few words."""
    if isinstance(reason, InvalidStatus):
        return str(refusal_of(reason))
    if isinstance(reason, TimeoutError):
        return "timed out"
    if isinstance(reason, OSError) and reason.strerror:
        # asyncio writes its own words before a number of the system's.
        number = reason.errno or 0
        return os.strerror(number) if number > 0 else reason.strerror
    return str(reason)
