"""A worker's client of the logs: append the events of a step, for all its turns in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import redis

from turnstream.turns.lua import Script
from turnstream.turns.settings import TurnSettings
from turnstream.turns.token_logprobs import TokenLogprobs, to_json


class Verdict(StrEnum):
    """The result of one turn's part of an append."""

    OK = "ok"
    #: Another attempt has the turn: this one must stop.
    STALE = "stale"
    #: The first number is in the log already, written by this very attempt.
    REPEATED = "repeated"
    #: The first number is not the next one.
    GAP = "gap"
    #: The turn has its terminal event.
    ENDED = "ended"
    #: There is no such turn any more.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, and the token ids whose text is complete with it."""

    event: str
    token_ids: tuple[int, ...] = ()
    #: Of the same tokens; empty for a turn that reports none.
    logprobs: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """What a turn's record keeps after its last event."""

    status: str
    #: JSON: null, or code and message.
    error: str
    #: The response's JSON after its status and error.
    response: str
    text: str
    #: JSON of the calls of tools; empty when there are none.
    calls: str = ""
    #: Of prompt and response together.
    tokens: int = 0
    #: Of the prompt, and how many of these were in the engine's cache; not kept.
    input_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Requeued:
    """The turn goes back to the head of its queue; the next attempt continues from its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One turn's part of an append: its events from number `first` on, whole or not at all."""

    id: str
    attempt: int
    first: int
    entries: tuple[Entry, ...]
    final: Final | Requeued | None = None


class Log:
    """Appends to the logs of turns that one worker has claimed. Not shared between threads."""

    def __init__(self, client: "redis.Redis", settings: TurnSettings, *, worker: str) -> None:
        self._worker = worker
        self._arguments = {"alive_ms": settings.alive_ms, **settings.retention}
        self._append = Script(client, "append")

    def append(self, parts: Sequence[Append]) -> list[Verdict]:
        """Write and publish; one verdict for each part, in order.

        Raises:
            redis.RedisError: Redis is away; the same call again is safe, since what was written is
            then refused as repeated.
        """
        named: list[dict[str, str | int]] = []
        payloads: list[str] = []
        for part in parts:
            count = len(part.entries)
            arguments: dict[str, str | int] = {
                "id": part.id,
                "attempt": part.attempt,
                "first": part.first,
                "count": count,
            }
            logprobs = any(entry.logprobs for entry in part.entries)
            if logprobs:
                arguments["logprobs"] = 1
            for entry in part.entries:
                payloads += (entry.event, ",".join(map(str, entry.token_ids)))
                if logprobs:
                    payloads.append(to_json(entry.logprobs) if entry.logprobs else "")
            match part.final:
                case Requeued():
                    arguments["final"] = "requeued"
                case Final() as final:
                    arguments |= {"final": final.status, "tokens": final.tokens}
                    payloads += (final.error, final.response, final.text)
                    if final.calls:
                        arguments["calls"] = 1
                        payloads.append(final.calls)
            named.append(arguments)
        verdicts: list[bytes] = self._append(
            worker=self._worker, parts=named, payloads=payloads, **self._arguments
        )
        return [Verdict(verdict.decode()) for verdict in verdicts]
