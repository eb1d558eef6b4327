"""What goes wrong with a vLLM server: with the server, or with the request.

Another server is tried after a `ServerFailed`; it would refuse the same as well after a
`RequestRefused`.
"""

import httpx2

#: Statuses of an answer that say that the request is at fault.
REFUSED = frozenset({400, 413, 422})


class ServerFailed(Exception):
    """A server cannot be used now, or stopped in the middle of an answer."""


class ServerUnfit(ServerFailed):
    """A server answers, but not for our model or not with token ids; a person must mend that."""


class RequestRefused(Exception):
    """A server finds fault with the request itself."""


def raise_for(answer: httpx2.Response) -> None:
    """Raise what the status of an answer means, if it is not a success."""
    status = answer.status_code
    if status < 300:
        return
    text = f"HTTP {status}: {_reason(answer)}"
    if status in REFUSED:
        raise RequestRefused(text)
    if status in (401, 403):
        raise ServerUnfit(f"{text}; TURNSTREAM_REMOTE_API_KEYS has its key")
    raise ServerFailed(text)


def _reason(answer: httpx2.Response) -> str:
    """Return the first line of what an answer says is wrong."""
    try:
        error = answer.json()["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        text = answer.text
    return next(iter(str(text).strip().splitlines()), answer.reason_phrase)


def said(exc: httpx2.HTTPError) -> str:
    """Return what an error of the connection means."""
    match exc:
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return "it cannot be connected to"
        case httpx2.TimeoutException():
            return "it does not answer in time"
    return f"the connection broke: {exc}" if str(exc) else "the connection broke"
