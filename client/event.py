"""What a client reads: events, a place in the queue, and responses.

Each keeps the JSON that it was made of in `data`, so that nothing of the protocol is out of reach.
"""

from dataclasses import dataclass, field
from typing import Any, Self

Json = dict[str, Any]

#: Types of the events that end a response. An `error` ends it too, and is raised.
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


@dataclass(frozen=True, slots=True)
class Event:
    """A step of a response."""

    type: str
    #: 0 for a response's first event, then one more each time.
    sequence_number: int
    data: Json = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """Where a turn waits."""

    #: From 1.
    position: int
    size: int
    #: None: unknown.
    eta_seconds: float | None
    #: Live workers.
    workers: int

    @classmethod
    def of(cls, queue: Json) -> Self:
        """Return the place that a `queue` object describes."""
        return cls(
            position=queue["position"],
            size=queue["size"],
            eta_seconds=queue.get("eta_seconds"),
            workers=queue.get("workers", 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool, which the client is to run."""

    call_id: str
    name: str
    #: JSON, as the model wrote it.
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response at one moment."""

    id: str
    #: `queued`, `in_progress`, `completed`, `incomplete`, `cancelled` or `failed`.
    status: str
    model: str
    text: str
    calls: tuple[ToolCall, ...]
    #: Why it is incomplete, such as `max_output_tokens`.
    incomplete_reason: str | None
    #: Why it failed: the service's code and message.
    error_code: str | None
    error_message: str | None
    previous_response_id: str | None
    #: What became of what `steer` added: `continued`, `pending` until the outputs of its calls are
    #: sent, or `failed`; None: nothing was added.
    steering: str | None
    #: The response that goes on with it.
    successor_id: str | None
    data: Json = field(repr=False)

    @classmethod
    def of(cls, data: Json) -> Self:
        """Return what a response's JSON says."""
        output = data.get("output") or []
        error = data.get("error") or {}
        steering = data.get("steering") or {}
        return cls(
            id=data["id"],
            status=data["status"],
            model=data.get("model", ""),
            text="".join(
                part.get("text", "")
                for item in output
                if item["type"] == "message"
                for part in item["content"]
            ),
            calls=tuple(
                ToolCall(call_id=item["call_id"], name=item["name"], arguments=item["arguments"])
                for item in output
                if item["type"] == "function_call"
            ),
            incomplete_reason=(data.get("incomplete_details") or {}).get("reason"),
            error_code=error.get("code"),
            error_message=error.get("message"),
            previous_response_id=data.get("previous_response_id"),
            steering=steering.get("outcome"),
            successor_id=steering.get("response_id"),
            data=data,
        )
