"""Write events and errors for the socket and for HTTP; an event's own JSON is not decoded."""

import json
from typing import Any

from starlette.responses import JSONResponse

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, event_type
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
    return encode(frame)


def steer_failed(response_id: str, input: object, stream_id: str | None) -> str:
    """Write that a running response cannot be steered; returns the input."""
    frame: SteerFailed = {
        "type": "response.steer.failed",
        # Not numbered: it is no event of a response.
        "sequence_number": 0,
        "steer": {"previous_response_id": response_id, "input": input},
        "error": {
            "type": "invalid_request_error",
            "code": "steering_not_supported",
            "message": "A response can't be steered here: cancel it and continue from it.",
        },
    }
    if stream_id is not None:
        frame["stream_id"] = stream_id
    # Not `encode`: the input is the client's, and may hold integers beyond 64 bits.
    return json.dumps(frame)


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
    """Write an event for a stream over HTTP."""
    return b"event: " + event_type(event) + b"\ndata: " + event + b"\n\n"
