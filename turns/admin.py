"""What an operator does from a terminal: look at workers, batches and turns, and change them.

No owner is checked here: whoever has Redis' URL may do everything. What was said is never read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import redis

from turnstream.turns.errors import BadRequest, ResponseNotFound
from turnstream.turns.lua import Script
from turnstream.turns.overview import MAX_MODELS, Overview, ReadOverview, overview
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import refused_cancel

#: Batches that are reported.
MAX_BATCHES = 100


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker that is registered; one that was killed stays so until another has its name."""

    model: str
    name: str
    slots: int
    free_slots: int
    #: Since its last heartbeat.
    silent_seconds: float
    #: `live`, `draining`, or `silent`: its heartbeats do not come.
    state: str


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch that has not ended, and how many of its lines have."""

    id: str
    owner: str
    status: str
    model: str
    total: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What runs and what waits."""

    overview: Overview
    workers: tuple[WorkerStatus, ...]
    nodes: tuple[str, ...]
    batches: tuple[BatchStatus, ...]


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn in a list; what is not known is empty."""

    id: str
    owner: str
    model: str
    tier: str
    #: As in its record. One that was put back is `in_progress` without a worker.
    status: str
    attempt: str
    worker: str
    #: Milliseconds since 1970.
    queued_at: str
    claimed_at: str
    batch: str


class UnknownWorker(Exception):
    """No worker has this name, or workers of several models have it."""


class Admin:
    """An operator's client; every method raises `redis.RedisError` if Redis can't be used."""

    def __init__(self, client: "redis.Redis", settings: TurnSettings) -> None:
        self._settings = settings
        self._overview = ReadOverview(client, settings)
        self._fleet = Script(client, "fleet")
        self._drain = Script(client, "drain")
        self._list = Script(client, "turn_list")
        self._show = Script(client, "turn_show")
        self._cancel = Script(client, "cancel")
        self._requeue = Script(client, "requeue")

    def status(self) -> ServiceStatus:
        """Return what runs and what waits."""
        workers, nodes, batches = self._fleet(max_models=MAX_MODELS, max_batches=MAX_BATCHES)
        return ServiceStatus(
            overview(self._overview()),
            tuple(self._worker(worker) for worker in workers),
            tuple(node.decode() for node in nodes),
            tuple(BatchStatus(*map(_text, batch)) for batch in batches),
        )

    def _worker(self, reply: list[Any]) -> WorkerStatus:
        model, name, slots, free_slots, silent_ms, draining = map(_text, reply)
        state = "draining" if draining else "live"
        if silent_ms > self._settings.alive_ms:
            state = "silent"
        return WorkerStatus(model, name, slots, free_slots, silent_ms / 1000, state)

    def drain(self, worker: str, model: str | None = None, *, drain: bool = True) -> WorkerStatus:
        """Let a worker finish its turns and claim no more or, with `drain=False`, claim again.

        Raises:
            UnknownWorker: none has this name, or several have it and no model is given.
        """
        found = self._named(worker, model)
        if self._drain(model=found.model, worker=found.name, drain=drain) != b"ok":
            raise UnknownWorker(f"there is no worker {worker!r} any more")
        return self._named(found.name, found.model)

    def _named(self, worker: str, model: str | None) -> WorkerStatus:
        found = [
            each
            for each in self.status().workers
            if each.name == worker and model in (None, each.model)
        ]
        if not found:
            raise UnknownWorker(f"there is no worker {worker!r}")
        if len(found) > 1:
            models = ", ".join(each.model for each in found)
            raise UnknownWorker(f"there is a worker {worker!r} of {models}: say --model")
        return found[0]

    def turns(
        self,
        *,
        active: bool = True,
        owner: str | None = None,
        model: str | None = None,
        status: str | None = None,
        limit: int = 50,
    ) -> Iterator[TurnRow]:
        """Yield up to `limit` turns: those that wait or run, or else all that are kept."""
        cursor, left = "", limit
        while left > 0:
            reply = self._list(
                cursor=cursor, active=active, limit=left, owner=owner, model=model, status=status
            )
            following, rows = cast(list[Any], reply)
            for row in rows[:left]:
                yield TurnRow(*map(_text, row))
            left -= len(rows)
            if not (cursor := following.decode()):
                return

    def turn(self, id: str) -> dict[str, str]:
        """Return what an operator may know of a turn, by the names of its record.

        `place` is its queue place, "position size eta_seconds workers", while it waits.

        Raises:
            ResponseNotFound: there is no such turn.
        """
        match self._show(id=id, alive_ms=self._settings.alive_ms):
            case []:
                raise ResponseNotFound(id)
            case [flat, place]:
                texts = [each.decode() for each in flat]
                record = dict(zip(texts[::2], texts[1::2], strict=True))
                return {"id": id, **record, "place": place.decode()}
        raise AssertionError("turn_show.lua returned an unknown reply")

    def cancel(self, id: str) -> None:
        """Cancel a turn, whoever it belongs to.

        Raises:
            ResponseNotFound: there is no such turn.
            BadRequest: it has ended already.
            NewerVersion: a newer release wrote it.
        """
        owner = self.turn(id)["owner"]
        reply = self._cancel(id=id, owner=owner, **self._settings.retention)
        if (refused := refused_cancel(cast(bytes, reply), id)) is not None:
            raise refused

    def requeue(self, id: str) -> None:
        """Take a turn from its worker: another goes on with it from its log.

        Raises:
            ResponseNotFound: there is no such turn.
            BadRequest: no worker has it.
        """
        record = self.turn(id)
        worker, attempt = record.get("worker", ""), int(record["attempt"])
        moved = worker and self._requeue(worker=worker, turns=[(id, attempt)])
        if not moved:
            raise BadRequest(f"No worker has response '{id}'.", code="response_not_active")


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
