"""The shapes of what a socket says beside the events of turns."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from turnstream.turns.shapes import Count, StreamId


class Steered(TypedDict):
    """What could not be said to a response while it was written."""

    previous_response_id: str
    #: As it came.
    input: Any


class SteerError(TypedDict):
    """Why it could not."""

    type: Literal["invalid_request_error"]
    code: Literal["steering_not_supported"]
    message: str


class SteerFailed(TypedDict):
    """A response can't be steered here."""

    type: Literal["response.steer.failed"]
    sequence_number: Literal[0]
    steer: Steered
    error: SteerError
    stream_id: NotRequired[StreamId]


class Draining(TypedDict):
    """This node goes: come back after that time and go on with resume."""

    type: Literal["turnstream:server.draining"]
    retry_after_ms: Count
