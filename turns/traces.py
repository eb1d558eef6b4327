"""Traces of turns: what a node and a worker report, and the setting that says to whom.

Off, which is the default, nothing is reported and nothing of OpenTelemetry is imported; a
`traceparent` that a client sends still travels with its turn.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from turnstream.turns.environment import Setting, choice
from turnstream.turns.origin import Origin
from turnstream.turns.turn import Claimed, Turn


def _installed(value: str) -> str:
    wanted: str = choice("off", "otlp")(value)
    try:
        found = wanted == "off" or find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ValueError("needs OpenTelemetry: pip install 'turnstream[otel]'")
    return wanted


TRACES = Setting(
    "TRACES",
    _installed,
    "off",
    "`otlp`: a trace of each turn is sent by OTLP over HTTP; needs the extra `otel`, and the"
    " standard variables such as `OTEL_EXPORTER_OTLP_ENDPOINT` say where to; `off`: none",
)
#: Key in a request's metadata, where a header cannot be set.
TRACEPARENT = "traceparent"
#: W3C Trace Context, version 00; a trace or a span of zeros is none.
_VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(header: str | None, metadata: Mapping[str, str]) -> str:
    """Return the context that a client sent, in its metadata or else in a header; '' if none."""
    for sent in (metadata.get(TRACEPARENT), header):
        if sent is not None and _VALID.fullmatch(sent):
            return sent
    return ""


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """When what happened to an attempt, in seconds since 1970."""

    claimed: float
    #: When its first text was written; None if none was.
    first_text: float | None
    ended: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    #: The turn's status, or `requeued`, or `dropped`: another attempt has it.
    status: str
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LostAttempt:
    """An attempt whose worker was lost, as the sweep found it."""

    id: str
    attempt: int
    model: str
    worker: str
    origin: Origin
    #: From its claim until it was found.
    seconds: float


class TurnSpan(Protocol):
    """A turn as its node sees it, from its submit until its reader has its end or has left."""

    @property
    def traceparent(self) -> str:
        """The context for the turn's record."""
        ...

    def submitted(self) -> None:
        """Note that the turn is in its queue."""
        ...

    def end(self, error: str | None = None) -> None:
        """Report it; `error` is the code of a refusal."""
        ...


class Traces(Protocol):
    """Reports what happens to turns."""

    def turn(self, turn: Turn) -> TurnSpan:
        """Begin the report of a turn, in the trace of its client."""
        ...

    def claimed(self, claimed: Claimed) -> None:
        """Report the wait of a turn that was claimed just now."""
        ...

    def ended(self, claimed: Claimed, times: AttemptTimes, outcome: Outcome) -> None:
        """Report an attempt that ended."""
        ...

    def lost(self, lost: LostAttempt) -> None:
        """Report an attempt that was found lost just now."""
        ...


class _NoSpan:
    """The span of a turn that is not traced."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def submitted(self) -> None:
        """Do nothing."""

    def end(self, error: str | None = None) -> None:
        """Do nothing."""


class NoTraces:
    """Reports nothing."""

    def turn(self, turn: Turn) -> TurnSpan:
        """Pass on the client's context."""
        return _NoSpan(turn.origin.traceparent)

    def claimed(self, claimed: Claimed) -> None:
        """Do nothing."""

    def ended(self, claimed: Claimed, times: AttemptTimes, outcome: Outcome) -> None:
        """Do nothing."""

    def lost(self, lost: LostAttempt) -> None:
        """Do nothing."""


NO_TRACES = NoTraces()


def open_traces(setting: str, *, service: str, instance: str) -> Traces:
    """Return what reports traces in this process.

    Args:
        service: name of this kind of process.
        instance: name of the process.
    """
    if setting == "off":
        return NO_TRACES
    from turnstream.turns.otel_traces import otlp_traces

    return otlp_traces(service=service, instance=instance)
