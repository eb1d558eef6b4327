"""How events and errors look on each wire; an event's own JSON is never taken apart."""

import json
from typing import Any

from starlette.responses import JSONResponse

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_shapes import ErrorEvent
from turnstream.ws_server.bodies import ErrorBody
from turnstream.ws_server.notices import SteerFailed


def error_frame(error: TurnError, stream_id: str | None) -> str:
    """Write an error for the socket."""
    frame: ErrorEvent = {"type": "error", "status": error.status, "error": error_body(error)}
    if error.retry_seconds is not None:
        frame["headers"] = {"retry-after": str(error.retry_seconds)}
    if stream_id is not None:
        frame["stream_id"] = stream_id
    return json.dumps(frame)


def steer_failed(response_id: str, input: object, stream_id: str | None) -> str:
    """Write that a response takes nothing in while it is being written; gives the input back."""
    frame: SteerFailed = {
        "type": "response.steer.failed",
        # Like an error's, it stands in no response's order.
        "sequence_number": 0,
        "steer": {"previous_response_id": response_id, "input": input},
        "error": {
            "type": "invalid_request_error",
            "code": "steering_not_supported",
            "message": "A response can't be steered here: cancel it and go on from it.",
        },
    }
    if stream_id is not None:
        frame["stream_id"] = stream_id
    return json.dumps(frame)


def on_lane(event: bytes, stream_id: str | None) -> str:
    """Write an event for the socket; on a named lane it says which."""
    if stream_id is None:
        return event.decode()
    return f'{{"stream_id":"{stream_id}",{event[1:].decode()}'


def error_response(error: TurnError) -> JSONResponse:
    """Write an error for HTTP."""
    headers = {"x-should-retry": "true" if error.retry_seconds else "false"}
    if error.retry_seconds:
        headers["retry-after"] = str(error.retry_seconds)
    body: ErrorBody = {"error": error_body(error)}
    return JSONResponse(body, status_code=error.status, headers=headers)


def refused(event: dict[str, Any]) -> JSONResponse:
    """Write for HTTP the error that ended a turn; the same turn would end so again."""
    headers = {"x-should-retry": "false"}
    status = event.get("status", 500)
    return JSONResponse({"error": event["error"]}, status_code=status, headers=headers)


def server_sent(event: bytes) -> bytes:
    """Write an event for a stream over HTTP; its type is the first thing in its JSON."""
    name = event.split(b'"', 4)[3]
    return b"event: " + name + b"\ndata: " + event + b"\n\n"
