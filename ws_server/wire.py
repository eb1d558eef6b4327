"""Write events and errors for the socket and for HTTP; an event's own JSON is not decoded."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, event_type
from turnstream.turns.event_shapes import ErrorEvent
from turnstream.turns.shapes import Error
from turnstream.ws_server import metrics
from turnstream.ws_server.bodies import ErrorBody

_ERROR = msgspec.json.Decoder(ErrorEvent)


def json_response(
    body: msgspec.Struct | msgspec.Raw | str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an HTTP answer; text is JSON already."""
    if isinstance(body, ErrorBody):
        metrics.refused(body.error.code)
    content = body if isinstance(body, str) else encode(body)
    return Response(content, status, headers, media_type="application/json")


def error_frame(error: TurnError, stream_id: str | None) -> str:
    """Return an error for the socket."""
    retry = error.retry_seconds
    metrics.refused(error.code)
    return encode(
        ErrorEvent(
            status=error.status,
            error=error_body(error),
            headers=msgspec.UNSET if retry is None else {"retry-after": str(retry)},
            stream_id=msgspec.UNSET if stream_id is None else stream_id,
        )
    )


def error_response(error: TurnError) -> Response:
    """Return an error over HTTP."""
    headers = {"x-should-retry": "true" if error.retry_seconds else "false", **error.headers}
    if error.retry_seconds:
        headers["retry-after"] = str(error.retry_seconds)
    return json_response(ErrorBody(error=error_body(error)), status=error.status, headers=headers)


def refused(event: bytes) -> Response:
    """Return over HTTP the error event that ended a turn; the same turn would end so again."""
    end = _ERROR.decode(event)
    return failure(end.error, end.status)


def failure(error: Error, status: int) -> Response:
    """Return an error that a repeated request would meet again."""
    return json_response(ErrorBody(error=error), status=status, headers={"x-should-retry": "false"})


def server_sent(event: bytes, data: bytes = b"") -> bytes:
    """Return an event for a stream over HTTP; `data` is what is sent of it, if that is more."""
    return b"event: " + event_type(event) + b"\ndata: " + (data or event) + b"\n\n"
