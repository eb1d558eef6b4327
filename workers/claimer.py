"""Fills free slots with turns from the head of the line.

It looks when the bell rings, on the bell's own thread, which is quickest; and on its own when a
slot becomes free and at every beat, so that no bell has to arrive.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Event, Lock, Thread

from turnstream.turns.errors import BadRequest
from turnstream.turns.queue import AWAY, TurnQueue
from turnstream.turns.turn import Claimed
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.answer import Answer
from turnstream.workers.engine import BadPrompt, Engine, EngineDead, Finish, FinishReason
from turnstream.workers.prompter import Prompter
from turnstream.workers.publisher import Publisher
from turnstream.workers.slicer import IdSlicer

log = logging.getLogger(__name__)

#: Makes the slicer of a reply to some prompt ids, with its stop strings.
BeginSlicer = Callable[[Sequence[int], Sequence[str]], IdSlicer]

#: The longest that a free slot and a waiting turn can miss each other.
HEARTBEAT_SECONDS = 0.25


class Claimer:
    """Claims turns and starts them on the engine."""

    def __init__(
        self,
        queue: TurnQueue,
        active: ActiveTurns,
        publisher: Publisher,
        engine: Engine,
        prompter: Prompter,
        begin_slicer: BeginSlicer,
    ) -> None:
        self._queue = queue
        self._active = active
        self._publisher = publisher
        self._engine = engine
        self._prompter = prompter
        self._begin_slicer = begin_slicer
        #: One claim at a time: a worker's claims are told apart by one nonce.
        self._claiming = Lock()
        self._away = False
        self._wake = Event()
        active.freed = self._wake.set
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="claimer")

    def start(self) -> None:
        """Begin to claim."""
        self._thread.start()

    def wake_up(self) -> None:
        """Fill free slots now, on the caller's thread."""
        self._fill()

    def retire(self) -> None:
        """Claim nothing more; never waits."""
        self._stopping.set()
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more, and end."""
        self.retire()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._fill()
            self._wake.wait(HEARTBEAT_SECONDS)
            self._wake.clear()

    def _fill(self) -> None:
        with self._claiming:
            try:
                while not self._stopping.is_set() and (slots := self._active.free_slots()) > 0:
                    claimed = self._queue.claim(slots)
                    self._away = False
                    if claimed is None:
                        return
                    self._start(claimed)
                for giving in self._active.preempted_slots():
                    if self._stopping.is_set():
                        return
                    # The engine takes up who waits at the step at which the slot is free.
                    claimed = self._queue.claim(0, preempted=giving.claimed.id)
                    if claimed is None:
                        return
                    giving.replaced = True
                    self._start(claimed)
            except AWAY as exc:
                if not self._away:
                    log.warning("Redis is away, nothing can be claimed: %s", exc)
                self._away = True

    def _start(self, claimed: Claimed) -> None:
        log.info("%s attempt %d: claimed", claimed.id, claimed.attempt)
        try:
            limit = self._engine.context - 1
            prompt = self._prompter.ids(claimed.messages, claimed.request, limit=limit)
        except BadRequest as exc:
            answer = Answer(claimed, self._begin_slicer((), ()))
            self._active.add(answer)
            answer.refuse(exc)
        else:
            answer = Answer(claimed, self._begin_slicer(prompt, claimed.request.stop))
            self._active.add(answer)
            self._submit(answer, prompt)
        self._publisher.wake()

    def _submit(self, answer: Answer, prompt: Sequence[int]) -> None:
        claimed, sampling = answer.claimed, answer.claimed.request.sampling
        answer.input_tokens = len(prompt)
        room = self._engine.context - len(prompt)
        left = min(sampling.max_tokens or room, room) - len(claimed.ids)
        if left < 1:
            # The last attempt said all that may be said, and was lost before it could end the turn.
            answer.put((), Finish(FinishReason.LENGTH))
            return
        try:
            handle = self._engine.submit(
                [*prompt, *claimed.ids],
                replace(sampling, max_tokens=left),
                partial(self._on_step, answer),
                generated=len(claimed.ids),
                low_priority=claimed.tier == "batch",
            )
            answer.start(handle)
        except BadPrompt as exc:
            answer.refuse(BadRequest(str(exc), param="input"))
        except EngineDead:
            answer.drop()
            answer.finished = True

    def _on_step(self, answer: Answer, ids: Sequence[int], finish: Finish | None) -> None:
        if finish is not None and finish.reason is FinishReason.ERROR:
            log.error("%s: the engine failed: %s", answer.claimed.id, finish.message)
            if not self._engine.healthy():
                # The process will end for it; another attempt goes on from what is logged.
                answer.drop()
        if answer.put(ids, finish):
            self._publisher.expect()
        if finish is not None:
            self._wake.set()
