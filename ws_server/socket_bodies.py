"""What only the socket sends, besides responses, their events and errors."""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from turnstream.turns.shapes import Count, ResponseId, SteerId, StreamId


class TakenSteer(Struct, frozen=True, kw_only=True):
    """Input that waits for the end of a response."""

    id: SteerId
    previous_response_id: ResponseId
    #: In the answer to a frame that had one.
    idempotency_key: str | UnsetType = UNSET


class ReturnedSteer(Struct, frozen=True, kw_only=True):
    """Input that was not used."""

    #: Only if it was accepted before.
    id: SteerId | UnsetType = UNSET
    previous_response_id: str
    #: As the client sent it.
    input: Raw
    #: In the answer to a frame that had one.
    idempotency_key: str | UnsetType = UNSET


class SteerError(Struct, frozen=True, kw_only=True, tag_field="type", tag="invalid_request_error"):
    """Why it was not used; `code` is stable."""

    code: str
    message: str


class RequiredOutput(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """A call of a tool whose output is to be sent."""

    call_id: str
    name: str


class SteerAccepted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.steer.accepted"
):
    """The input is stored, and goes into the response's successor."""

    #: Always 0: it is not an event of a response.
    sequence_number: Literal[0] = 0
    steer: TakenSteer
    stream_id: StreamId | UnsetType = UNSET


class SteerPending(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.steer.pending"
):
    """The response has ended in calls of tools: the input goes in front of their outputs."""

    #: Always 0: it is not an event of a response.
    sequence_number: Literal[0] = 0
    steer: TakenSteer
    reason: Literal["waiting_for_required_input"] = "waiting_for_required_input"
    required_input: tuple[RequiredOutput, ...]
    stream_id: StreamId | UnsetType = UNSET


class SteerFailed(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.steer.failed"):
    """The input was refused, or the response failed or was cancelled."""

    #: Always 0: it is not an event of a response.
    sequence_number: Literal[0] = 0
    steer: ReturnedSteer
    error: SteerError
    stream_id: StreamId | UnsetType = UNSET


class Draining(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="turnstream:server.draining"
):
    """The node shuts down: reconnect after that time and continue with resume."""

    retry_after_ms: Count
