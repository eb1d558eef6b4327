"""The two who publish in the relay benchmark: a worker of ours, and the one the peer listens to.

Both send slice number n to a few sockets at a time, as an engine's step does for the turns in its
batch.
"""

import time
from typing import Protocol

import redis

from benchmarks.peer import channel
from benchmarks.slices import slice_event, slice_text
from turnstream.turns import events
from turnstream.turns.connection import connect
from turnstream.turns.ids import new_response_id
from turnstream.turns.log import Append, Entry, Final, Log, Verdict
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed

#: What the service takes a turn for.
MODEL = "benchmark"
CLAIM_SECONDS = 30.0


class Publisher(Protocol):
    """Sends slices to sockets."""

    def begin(self) -> None:
        """Take up what the sockets ask for."""

    def send(self, sockets: range, number: int) -> None:
        """Send a slice to each of these."""

    def end(self) -> None:
        """Finish what was begun."""


class Refused(Exception):
    """A worker's append was not taken."""


class Worker:
    """Answers a turn of each socket through the doors that a real worker uses.

    It does not beat, so what takes longer than a lease needs a longer one.
    """

    def __init__(self, redis_url: str, sockets: int, *, lease_seconds: float = 5.0) -> None:
        settings = TurnSettings(redis_url=redis_url, lease_seconds=lease_seconds)
        client = connect(redis_url)
        self._queue = TurnQueue(client, settings, model=MODEL, worker="w0")
        self._log = Log(client, settings, worker="w0")
        self._sockets = sockets
        self._turns: list[Claimed] = []
        self._next: list[int] = []

    def begin(self) -> None:
        """Claim every turn and open its answer.

        Raises:
            Refused: fewer turns came than there are sockets.
        """
        self._turns = self._claim()
        self._next = [turn.seq + 1 for turn in self._turns]
        self._append(
            [
                self._part(place, events.opening(turn.id, self._next[place]))
                for place, turn in enumerate(self._turns)
            ]
        )

    def send(self, sockets: range, number: int) -> None:
        """Append a slice to the log of each turn, in one call."""
        parts = []
        for place in sockets:
            seq = self._next[place]
            event = slice_event(self._turns[place].id, seq, number)
            parts.append(self._part(place, [event], ids=(number,)))
        self._append(parts)

    def end(self) -> None:
        """Complete every turn; nobody looks at what its record keeps."""
        parts = []
        text = slice_text(0)
        for place, turn in enumerate(self._turns):
            seq = self._next[place]
            closing = events.closing(turn.id, seq, "completed", text)
            closing.append(events.terminal(seq + len(closing), "completed", "null", turn.response))
            final = Final(status="completed", error="null", response=turn.response, text=text)
            parts.append(self._part(place, closing, final=final))
        self._append(parts)

    def _claim(self) -> list[Claimed]:
        claimed: list[Claimed] = []
        deadline = time.monotonic() + CLAIM_SECONDS
        while len(claimed) < self._sockets:
            turn = self._queue.claim(self._sockets - len(claimed))
            if turn is not None:
                claimed.append(turn)
            elif time.monotonic() > deadline:
                raise Refused(f"only {len(claimed)} of {self._sockets} sockets asked for a turn")
            else:
                time.sleep(0.01)
        return claimed

    def _part(
        self, place: int, new: list[str], *, ids: tuple[int, ...] = (), final: Final | None = None
    ) -> Append:
        turn = self._turns[place]
        first = self._next[place]
        self._next[place] += len(new)
        return Append(
            id=turn.id,
            attempt=turn.attempt,
            first=first,
            entries=tuple(Entry(event, ids) for event in new),
            final=final,
        )

    def _append(self, parts: list[Append]) -> None:
        verdicts = self._log.append(parts)
        if set(verdicts) != {Verdict.OK}:
            raise Refused(f"the log said {set(verdicts)}")


class Channels:
    """Publishes each slice as a message of its own, a step's in one pipeline."""

    def __init__(self, redis_url: str, sockets: int) -> None:
        self._client = redis.Redis.from_url(redis_url, protocol=2)
        # The peer knows no turns; its slices look the same all the same.
        self._turns = [new_response_id() for _ in range(sockets)]

    def begin(self) -> None:
        """There is nothing to take up."""

    def send(self, sockets: range, number: int) -> None:
        """Publish a slice to each socket's channel."""
        with self._client.pipeline(transaction=False) as pipe:
            for socket in sockets:
                pipe.publish(channel(socket), slice_event(self._turns[socket], number + 5, number))
            pipe.execute()

    def end(self) -> None:
        """There is nothing to finish."""
