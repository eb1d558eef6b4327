"""Claims turns from the head of the queue and submits them to the engine.

A wake-up is carried out on the thread that receives it, so that no time is lost between threads;
but what the control channel's thread has claimed, the claimer's own thread starts, because a cancel
would wait for that. The claimer's thread also claims when a slot becomes free, and at every
heartbeat, so that a lost wake-up costs little.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock, Thread

from turnstream.turns.errors import (
    BadRequest,
    ContextLengthExceeded,
    PreviousResponseNotFound,
)
from turnstream.turns.origin import log_fields
from turnstream.turns.queue import RETRYABLE_ERRORS, TurnQueue
from turnstream.turns.redis_problem import problem_of
from turnstream.turns.traces import NO_TRACES, Traces
from turnstream.turns.turn import Claimed
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.attempt import Attempt, Callbacks
from turnstream.workers.cache_scope import CacheScope
from turnstream.workers.engine import (
    BadConstraint,
    BadLogitBias,
    BadPrompt,
    Engine,
    EngineDead,
    Finish,
    FinishReason,
)
from turnstream.workers.prompter import Prompter, common_length, continued_reply, public_prefix
from turnstream.workers.publisher import Publisher
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.slicer import MakeSlicer
from turnstream.workers.tool_use import ToolUse

log = logging.getLogger(__name__)

#: The longest that a turn waits beside a free slot when its wake-up is lost.
HEARTBEAT_SECONDS = 0.25


class Claimer:
    """Claims turns and submits them to the engine."""

    def __init__(
        self,
        queue: TurnQueue,
        active: ActiveTurns,
        publisher: Publisher,
        engine: Engine,
        prompter: Prompter,
        make_slicer: MakeSlicer,
        vocabulary: Vocabulary,
        tool_use: ToolUse,
        traces: Traces = NO_TRACES,
    ) -> None:
        self._queue = queue
        self._traces = traces
        self._active = active
        self._publisher = publisher
        self._engine = engine
        self._prompter = prompter
        self._make_slicer = make_slicer
        self._vocabulary = vocabulary
        self._tool_use = tool_use
        self._public = public_prefix(prompter, limit=engine.context - 1)
        # One claim at a time: Redis recognises the repeat of a worker's last claim by one nonce.
        self._claiming = Lock()
        #: Turns that the control channel's thread has claimed; guarded by the same lock.
        self._unstarted: deque[Claimed] = deque()
        self._unreachable = False
        #: Whether Redis was told that no slot is free, for lack of memory.
        self._noted_full = False
        self._wake = Event()
        #: Whether the claimer's thread is to claim when it wakes up, or only to start turns.
        self._due = Event()
        self._callbacks = Callbacks(
            write_after_step=publisher.write_after_step,
            slot_changed=self._claim_soon,
            engine_healthy=engine.healthy,
        )
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="claimer")

    def start(self) -> None:
        """Start claiming."""
        self._thread.start()

    def wake_up(self) -> None:
        """Fill free slots now, on the caller's thread."""
        self._fill()

    def claim_one(self) -> None:
        """Claim one turn now, unless another thread claims; the claimer's own thread goes on."""
        if self._claiming.acquire(blocking=False):
            try:
                with self._pausing():
                    if claimed := self._claim_next():
                        self._unstarted.append(claimed)
                        if not self._queue.others_wait:
                            self._wake.set()
                            return
            finally:
                self._claiming.release()
        self._claim_soon()

    def stop_claiming(self) -> None:
        """Claim no more turns; never waits."""
        self._stopping.set()
        self._wake.set()

    def _claim_soon(self) -> None:
        self._due.set()
        self._wake.set()

    def stop(self) -> None:
        """Claim no more turns, and end the thread."""
        self.stop_claiming()
        self._thread.join()

    def _run(self) -> None:
        self._due.set()
        while not self._stopping.is_set():
            if self._due.is_set():
                self._due.clear()
                self._fill()
            else:
                with self._claiming:
                    self._start_claimed()
            if not self._wake.wait(HEARTBEAT_SECONDS):
                self._due.set()
            self._wake.clear()
        # Nothing is claimed from here on, and nothing that was claimed is left behind.
        with self._claiming:
            self._start_claimed()

    def _fill(self) -> None:
        with self._claiming, self._pausing():
            self._start_claimed()
            while claimed := self._claim_next():
                self._start(claimed)
            for preempted in self._active.preempted():
                if self._stopping.is_set():
                    return
                # The engine starts the submitted turn in the step that frees the slot.
                claimed = self._queue.claim(0, preempted=preempted.claimed.id)
                if claimed is None:
                    return
                preempted.reassign_slot()
                self._start(claimed)

    def _start_claimed(self) -> None:
        while self._unstarted:
            self._start(self._unstarted.popleft())

    def _claim_next(self) -> Claimed | None:
        """Claim the next turn if a slot is free and the engine has memory for more turns."""
        slots = self._active.free_slots() - len(self._unstarted)
        if slots < 1 or self._stopping.is_set():
            return None
        if self._engine.short_of_memory:
            if not self._noted_full:
                # So that other workers are woken up, and turns of batches are preempted here.
                self._queue.note_full()
                self._noted_full = True
            return None
        claimed = self._queue.claim(slots)
        self._noted_full = False
        if self._unreachable:
            log.info("Redis can be used again, claims continue")
            self._unreachable = False
        return claimed

    @contextmanager
    def _pausing(self) -> Iterator[None]:
        """Leave the block when Redis can't be used, and log that once."""
        try:
            yield
        except RETRYABLE_ERRORS as exc:
            if not self._unreachable:
                log.warning("claims are paused, Redis can't be used: %s", problem_of(exc))
            self._unreachable = True

    def _start(self, claimed: Claimed) -> None:
        self._traces.claimed(claimed)
        fields = log_fields(claimed)
        log.info("%s attempt %d: claimed", claimed.id, claimed.attempt, extra=fields)
        try:
            if claimed.broken_after:
                raise PreviousResponseNotFound(claimed.broken_after)
            limit = self._engine.context - 1
            prompt = self._prompter.ids(claimed.messages, claimed.request, limit=limit)
            if claimed.cut and not claimed.request.truncate:
                # So many bytes are too many tokens, unless most of them are white space.
                raise ContextLengthExceeded(len(prompt), limit, at_least=True)
            reply = continued_reply(claimed.messages)
        except BadRequest as exc:
            reader = AnswerReader(self._make_slicer((), ()))
            attempt = Attempt(claimed, reader, self._callbacks)
            self._active.add(attempt)
            attempt.refuse(exc)
        else:
            attempt = self._attempt(claimed, prompt, reply)
            self._active.add(attempt)
            self._submit(attempt, prompt)
        self._publisher.wake()

    def _attempt(self, claimed: Claimed, prompt: Sequence[int], reply: str | None) -> Attempt:
        """Return the attempt at a turn; `reply` is what its answer goes on from."""
        request, vocabulary = claimed.request, self._vocabulary
        # The prompt leaves out white space at its end, which the reply may repeat. After a raw
        # prompt, white space is part of the text as well.
        begun = request.raw or (reply is not None and reply == reply.rstrip())
        if request.offer:
            reader = self._tool_use.reader(prompt, request, request.offer, begun=begun)
            vocabulary = self._tool_use.vocabulary
        else:
            reader = AnswerReader(self._make_slicer(prompt, request.stop, begun=begun))
        return Attempt(
            claimed,
            reader,
            self._callbacks,
            input_tokens=len(prompt),
            vocabulary=vocabulary,
        )

    def _submit(self, attempt: Attempt, prompt: Sequence[int]) -> None:
        claimed, sampling = attempt.claimed, attempt.claimed.request.sampling
        room = self._engine.context - len(prompt)
        generated = len(claimed.token_ids)
        left = min(sampling.max_tokens or room, room) - generated
        if left < 1:
            # An earlier attempt generated all tokens and was lost before it could end the turn.
            attempt.on_step((), Finish(FinishReason.LENGTH))
            return
        try:
            handle = self._engine.submit(
                [*prompt, *claimed.token_ids],
                replace(
                    sampling,
                    max_tokens=left,
                    min_tokens=max(0, min(sampling.min_tokens - generated, left)),
                ),
                attempt.on_step,
                generated=generated,
                low_priority=claimed.tier == "batch",
                on_logprobs=attempt.on_logprobs,
                constraint=self._tool_use.constraint(claimed.request),
                cache=CacheScope(claimed.owner, common_length(prompt, self._public)),
            )
            attempt.start(handle)
        except BadPrompt as exc:
            attempt.refuse(BadRequest(str(exc), param="input"))
        except BadLogitBias as exc:
            attempt.refuse(BadRequest(str(exc), param="logit_bias"))
        except BadConstraint as exc:
            named = "text.format" if claimed.request.offer is None else "tools"
            attempt.refuse(BadRequest(str(exc), param=named))
        except EngineDead:
            attempt.abandon()
