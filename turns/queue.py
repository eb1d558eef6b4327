"""A worker's door to the line: claim who waits, show signs of life, put back what the dead held."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, cast
from uuid import uuid4

import redis
from redis.exceptions import RedisError

from turnstream.turns import keys
from turnstream.turns.lua import Script
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Message, Request, messages_from_json
from turnstream.turns.versions import NewerVersionLog


class LeaseStatus(StrEnum):
    """How a turn stands with the worker that runs it."""

    OK = "ok"
    #: Somebody asked for its end.
    CANCEL = "cancel"
    #: People wait for its slot.
    PREEMPT = "preempt"
    #: It is another attempt's by now, or has ended, or is gone.
    LOST = "lost"


class TurnQueue:
    """One worker's place at the counter. Not shared between threads: each makes its own."""

    def __init__(
        self, client: "redis.Redis", settings: TurnSettings, *, model: str, worker: str
    ) -> None:
        self._client = client
        self._settings = settings
        self._model = model
        self._worker = worker
        self._nonce: str | None = None
        self._lease_ms = int(settings.lease_seconds * 1000)
        self._newer = NewerVersionLog()
        self._claim = Script(client, "claim")
        self._heartbeat = Script(client, "heartbeat")
        self._requeue = Script(client, "requeue")
        self._sweep = Script(client, "sweep")

    def claim(self, free_slots: int, *, preempted: str = "") -> Claimed | None:
        """Take the head of the line; None when nobody waits.

        A batch turn that is giving its slot back is named by `preempted`, when the slot is to be
        taken before it is free; then None also when only a batch waits.

        A claim that was not answered is asked again under the same nonce, so that a turn given out
        by a call that timed out is not forgotten.

        Raises:
            redis.RedisError: Redis is away; call again.
        """
        nonce = self._nonce or uuid4().hex
        self._nonce = nonce
        answer = cast(
            list[Any],
            self._claim(
                model=self._model,
                worker=self._worker,
                nonce=nonce,
                free_slots=free_slots,
                lease_ms=self._lease_ms,
                alive_ms=self._settings.alive_ms,
                preempted=preempted or None,
            ),
        )
        self._nonce = None
        newer, *claimed = answer
        self._newer.report(newer.decode())
        return _claimed(claimed) if claimed else None

    def heartbeat(
        self, running: Sequence[tuple[str, int]], about: Mapping[str, object], *, slots: int
    ) -> list[LeaseStatus]:
        """Show a sign of life, renew the leases of what runs here and hear what became of it.

        Args:
            running: id and attempt of each turn.
            about: what the model says of itself to the nodes.
            slots: how many turns this worker answers at once.
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
        """See to what is overdue; gives the ids of turns whose worker was lost."""
        moved, newer = self._sweep(**self._settings.sweep_arguments)
        self._newer.report(newer.decode())
        return [id.decode() for id in moved]

    def requeue(self, unfinished: Sequence[tuple[str, int]]) -> None:
        """Hand on turns, each by id and attempt, that this worker will not finish."""
        if unfinished:
            self._requeue(worker=self._worker, turns=unfinished)

    def leave(self) -> None:
        """Take this worker off the list, so that no bell is aimed at it."""
        with self._client.pipeline() as pipe:
            pipe.zrem(keys.heartbeats(self._model), self._worker)
            pipe.hdel(keys.free_slots(self._model), self._worker)
            pipe.hdel(keys.slots(self._model), self._worker)
            pipe.execute()


#: What a thread of a worker waits out instead of dying of it: not only a Redis that can't be
#: reached, but also one that refuses to write, as it does with a full disk or while a replica takes
#: over.
AWAY = (RedisError,)


def _claimed(answer: Sequence[Any]) -> Claimed:
    id, attempt, seq, request, asked, rest, ids, said, unread, tier = answer
    return Claimed(
        id=id.decode(),
        attempt=attempt,
        seq=seq,
        request=Request.from_json(request),
        messages=(*_conversation(said), *messages_from_json(asked)),
        rest=rest.decode(),
        ids=tuple(int(number) for number in ids.split(b",")) if ids else (),
        tier=tier.decode(),
        unread=bool(unread),
    )


def _conversation(said: Sequence[bytes]) -> list[Message]:
    """Turn round what a claim tells latest turn first: input, answer, input, answer."""
    messages: list[Message] = []
    for i in range(len(said) - 2, -1, -2):
        messages.extend(messages_from_json(said[i]))
        messages.append(Message("assistant", said[i + 1].decode()))
    return messages
