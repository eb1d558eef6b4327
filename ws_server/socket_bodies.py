"""What only the socket sends, besides responses, their events and errors."""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from turnstream.turns.shapes import Count, StreamId


class Steered(Struct, frozen=True, kw_only=True):
    """The request to steer a running response."""

    previous_response_id: str
    #: As the client sent it.
    input: Raw


class SteerError(Struct, frozen=True, kw_only=True, tag_field="type", tag="invalid_request_error"):
    """Why it was refused."""

    code: Literal["steering_not_supported"] = "steering_not_supported"
    message: str = "A response can't be steered here: cancel it and continue from it."


class SteerFailed(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.steer.failed"):
    """A running response cannot be steered."""

    #: Always 0: it is not an event of a response.
    sequence_number: Literal[0] = 0
    steer: Steered
    error: SteerError = SteerError()
    stream_id: StreamId | UnsetType = UNSET


class Draining(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:server.draining"
):
    """The node shuts down: reconnect after that time and continue with resume."""

    retry_after_ms: Count
