"""A worker's client of the queue: claim turns, send heartbeats, sweep, requeue."""

import json
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, cast
from uuid import uuid4

import redis
from redis.exceptions import RedisError

from turnstream.turns import keys, lost_turns
from turnstream.turns.history import conversation
from turnstream.turns.lua import Script
from turnstream.turns.origin import Origin
from turnstream.turns.settings import TurnSettings
from turnstream.turns.token_logprobs import from_json
from turnstream.turns.traces import NO_TRACES, Traces
from turnstream.turns.turn import Claimed, Request
from turnstream.turns.versions import NewerVersionLog

#: Bytes of a conversation that a claim reads, unless the worker knows how much can fit.
MOST_BYTES = 16 * 1024 * 1024


class LeaseStatus(StrEnum):
    """Whether a worker still has the lease of a turn, and what it is to do with the turn."""

    OK = "ok"
    #: Its cancellation was requested.
    CANCEL = "cancel"
    #: There is new input: it is to end with its next slice.
    STEER = "steer"
    #: Its slot is needed by a turn of a better tier.
    PREEMPT = "preempt"
    #: Another attempt has it, or it ended or was deleted.
    LOST = "lost"


class TurnQueue:
    """The queue as one worker uses it. Not thread-safe: each thread creates its own."""

    def __init__(
        self,
        client: "redis.Redis",
        settings: TurnSettings,
        *,
        model: str,
        worker: str,
        most_bytes: int = MOST_BYTES,
        traces: Traces = NO_TRACES,
    ) -> None:
        """Create a client.

        Args:
            most_bytes: of a conversation that a claim reads; more does not fit into a prompt.
            traces: what reports attempts that a sweep finds lost.
        """
        self._most_bytes = most_bytes
        self._traces = traces
        self._client = client
        self._settings = settings
        self._model = model
        self._worker = worker
        self._nonce: str | None = None
        #: Whether others may have waited when the last turn was claimed.
        self.others_wait = False
        self._lease_ms = int(settings.lease_seconds * 1000)
        self._newer = NewerVersionLog()
        self._claim = Script(client, "claim")
        self._heartbeat = Script(client, "heartbeat")
        self._requeue = Script(client, "requeue")
        self._sweep = Script(client, "sweep")

    def claim(self, free_slots: int, *, preempted: str = "") -> Claimed | None:
        """Claim the turn at the head of the queue; None when no turn waits.

        `preempted` is the id of a batch turn whose slot is to be assigned before it is free; then
        the result is None also when only batch turns wait.

        A claim without a reply is repeated with the same nonce, so that a turn claimed by a call
        that timed out is not lost.

        Raises:
            redis.RedisError: Redis is away; call again.
        """
        nonce = self._nonce or uuid4().hex
        self._nonce = nonce
        reply = cast(
            list[Any],
            self._claim(
                model=self._model,
                worker=self._worker,
                nonce=nonce,
                free_slots=free_slots,
                lease_ms=self._lease_ms,
                alive_ms=self._settings.alive_ms,
                preempted=preempted or None,
                most_bytes=self._most_bytes,
            ),
        )
        self._nonce = None
        newer, *claimed = reply
        self._newer.report(newer.decode())
        if not claimed:
            return None
        others, *turn = claimed
        self.others_wait = bool(others)
        return _claimed(turn)

    def note_full(self) -> None:
        """Note that this worker has no slot free until its next claim."""
        self._client.hset(keys.free_slots(self._model), self._worker, "0")

    def heartbeat(
        self, running: Sequence[tuple[str, int]], about: Mapping[str, object], *, slots: int
    ) -> list[LeaseStatus]:
        """Send a heartbeat, renew the leases of running turns and return the status of each.

        Args:
            running: Id and attempt of each turn.
            about: The model's self-description.
            slots: Number of turns that this worker answers at once.
        """
        words: list[bytes] = self._heartbeat(
            model=self._model,
            worker=self._worker,
            lease_ms=self._lease_ms,
            alive_ms=self._settings.alive_ms,
            slots=slots,
            turns=running,
            payloads=[json.dumps(dict(about))],
        )
        return [LeaseStatus(word.decode()) for word in words]

    def sweep(self) -> list[str]:
        """Handle overdue turns; return the ids of those whose worker was lost."""
        moved, newer = self._sweep(**self._settings.sweep_arguments)
        self._newer.report(newer.decode())
        return lost_turns.report(moved, self._traces)

    def requeue(self, unfinished: Sequence[tuple[str, int]]) -> None:
        """Requeue turns, each by id and attempt, that this worker will not finish."""
        if unfinished:
            self._requeue(worker=self._worker, turns=unfinished)

    def register(self) -> None:
        """Begin as a worker that claims turns, whatever was asked of one with the same name."""
        self._client.hdel(keys.draining(self._model), self._worker)

    def drain(self) -> None:
        """Note that this worker claims no more turns, so that nobody counts on it."""
        self._client.hset(keys.draining(self._model), self._worker, str(int(time.time() * 1000)))

    def unregister(self) -> None:
        """Remove this worker from the model's live workers, so that no wake-up is sent to it."""
        with self._client.pipeline() as pipe:
            pipe.zrem(keys.heartbeats(self._model), self._worker)
            pipe.hdel(keys.free_slots(self._model), self._worker)
            pipe.hdel(keys.slots(self._model), self._worker)
            pipe.hdel(keys.draining(self._model), self._worker)
            pipe.execute()


#: Errors after which a worker's thread tries again: Redis can't be reached, or it refuses to write,
#: as with a full disk or during a failover.
RETRYABLE_ERRORS = (RedisError,)


def _claimed(reply: Sequence[Any]) -> Claimed:
    id, attempt, seq, request, input, response, token_ids, *others = reply
    history, unread, tier, logprobs, owner, system, cut, broken_after, waited_ms, *origin = others
    return Claimed(
        id=id.decode(),
        attempt=attempt,
        seq=seq,
        request=Request.from_json(request),
        messages=conversation(history, input, system),
        response=response.decode(),
        token_ids=tuple(int(id) for id in token_ids.split(b",")) if token_ids else (),
        logprobs=tuple(each for part in logprobs for each in from_json(part)),
        tier=tier.decode(),
        owner=owner.decode(),
        unread=bool(unread),
        cut=bool(cut),
        broken_after=broken_after.decode(),
        waited_seconds=waited_ms / 1000,
        origin=Origin(*(each.decode() for each in origin)),
    )
