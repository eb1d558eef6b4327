"""The publishers of the relay, append and storm benchmarks: a worker of ours, and the peer's.

Both send slice number n to some sockets at a time, as an engine's step does for its turns.
"""

import time
from typing import Protocol

import redis

from benchmarks.peer import channel
from turnstream.turns import events
from turnstream.turns.connection import connect
from turnstream.turns.ids import new_response_id
from turnstream.turns.log import Append, Entry, Final, Log, Verdict
from turnstream.turns.queue import TurnQueue
from turnstream.turns.response import message_item
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed

#: The model of all turns; nothing loads it.
MODEL = "benchmark"
CLAIM_SECONDS = 30.0


def slice_text(number: int) -> str:
    """Return the text of a turn's slice: different for each number, always of the same length."""
    return f" word{number:05d}"


def slice_event(turn_id: str, seq: int, number: int) -> str:
    """Return a slice as the JSON of its event."""
    return events.text_delta(turn_id, seq, slice_text(number))


class Publisher(Protocol):
    """Sends slices to sockets."""

    def begin(self) -> None:
        """Claim the turns of the sockets."""

    def send(self, sockets: range, number: int) -> None:
        """Send slice `number` to each of these sockets."""

    def end(self) -> None:
        """Complete the turns."""


class Refused(Exception):
    """Turns or appends are not as they should be: a claim or an append failed."""


class Worker:
    """Answers the turn of each socket with the calls that a real worker makes.

    It sends no heartbeats: a run that takes longer than a lease needs a longer lease.
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
        """Claim every turn and append its opening events.

        Raises:
            Refused: there are fewer turns than sockets.
        """
        self._turns = self._claim()
        self._next = [turn.seq + 1 for turn in self._turns]
        self._append(
            [
                self._part(index, events.opening(turn.id, self._next[index]))
                for index, turn in enumerate(self._turns)
            ]
        )

    def say(self, text: str) -> None:
        """Append a slice of this text to the log of the first turn."""
        self._append([self._part(0, [events.text_delta(self._turns[0].id, self._next[0], text)])])

    def send(self, sockets: range, number: int) -> None:
        """Append a slice to the log of each turn, in one call."""
        parts = []
        for index in sockets:
            seq = self._next[index]
            event = slice_event(self._turns[index].id, seq, number)
            parts.append(self._part(index, [event], ids=(number,)))
        self._append(parts)

    def end(self) -> None:
        """Complete every turn; the text of its record is not checked."""
        parts = []
        text = slice_text(0)
        for index, turn in enumerate(self._turns):
            seq = self._next[index]
            closing = events.closing(seq, 0, message_item(turn.id, "completed", text))
            closing.append(events.terminal(seq + len(closing), "completed", "null", turn.response))
            final = Final(status="completed", error="null", response=turn.response, text=text)
            parts.append(self._part(index, closing, final=final))
        self._append(parts)

    def _claim(self) -> list[Claimed]:
        claimed: list[Claimed] = []
        deadline = time.monotonic() + CLAIM_SECONDS
        while len(claimed) < self._sockets:
            turn = self._queue.claim(self._sockets - len(claimed))
            if turn is not None:
                claimed.append(turn)
            elif time.monotonic() > deadline:
                raise Refused(f"only {len(claimed)} of {self._sockets} turns are in the queue")
            else:
                time.sleep(0.01)
        return claimed

    def _part(
        self, index: int, new: list[str], *, ids: tuple[int, ...] = (), final: Final | None = None
    ) -> Append:
        turn = self._turns[index]
        first = self._next[index]
        self._next[index] += len(new)
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
            raise Refused(f"an append was answered with {set(verdicts)}")


class Channels:
    """Publishes each slice as a message of its own, those of a step in one pipeline."""

    def __init__(self, redis_url: str, sockets: int) -> None:
        self._client = redis.Redis.from_url(redis_url, protocol=2)
        # The peer has no turns; these ids make its events as long as ours.
        self._turns = [new_response_id() for _ in range(sockets)]

    def begin(self) -> None:
        """Do nothing: the peer has no turns."""

    def send(self, sockets: range, number: int) -> None:
        """Publish a slice to each socket's channel."""
        with self._client.pipeline(transaction=False) as pipe:
            for socket in sockets:
                pipe.publish(channel(socket), slice_event(self._turns[socket], number + 5, number))
            pipe.execute()

    def end(self) -> None:
        """Do nothing: the peer has no turns."""
