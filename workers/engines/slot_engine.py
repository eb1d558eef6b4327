"""Answer many turns with one transformers Llama: continuous batching on one thread.

Each step is one forward pass over one token of every answer and a bounded number of prompt tokens,
so a long prompt delays other turns by one prefill chunk per step. A turn joins at the step after
its submission; its slot is assigned again at the step after its end.

On a GPU the next step is launched before the ids of the last one are known to the host.

A turn takes memory as its text grows. Where that is short, the youngest turn is put back until
there is some again, low-priority turns first; it then continues from its own tokens.
"""

import logging
import threading
from collections.abc import Callable, Sequence

import torch
from transformers import LlamaForCausalLM

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers import metrics
from turnstream.workers.cache_scope import NO_OWNER, CacheScope
from turnstream.workers.check_turn import check_turn
from turnstream.workers.engine import Finish, FinishReason, OnLogprobs, OnStep
from turnstream.workers.engines.attention import NewTokens
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.grammars import Grammars, matcher_of
from turnstream.workers.engines.logit_changes import logit_changes
from turnstream.workers.engines.next_tokens import choose_next
from turnstream.workers.engines.placed_turns import PlacedTurns
from turnstream.workers.engines.prepared import prepared
from turnstream.workers.engines.recorded_steps import Recorder
from turnstream.workers.engines.sampler import NOT_A_NUMBER, UNDECIDED
from turnstream.workers.engines.scheduler import PendingStep, Scheduler, SlotTurn
from turnstream.workers.engines.steps import start_steps
from turnstream.workers.engines.to_device import to_device
from turnstream.workers.engines.waiting_turns import WaitingTurns

log = logging.getLogger(__name__)


class SlotEngine:
    """The default engine.

    Args:
        model: in evaluation mode, on its device; used by this engine only.
        slots: how many turns run at once.
        context: tokens of a prompt and its answer.
        eos_ids: tokens that end an answer.
        after_step: called on the engine's thread once all ``on_step`` calls of a step are made.
        prompt_tokens: how many prompt tokens one step takes at most.
        decode_op: compiled attention for a CPU; None uses torch.
        ahead: launch a step before the last one's ids are known; None does so on a GPU. Tokens
            computed for a finished turn are discarded.
        recorder: records decode steps on a GPU; None launches each step.
        grammars: compiles what answers must follow; None refuses turns with a constraint.
        kv_tokens: how many tokens of all turns the memory has room for; None has room for
            ``slots × context``.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        *,
        slots: int,
        context: int,
        eos_ids: frozenset[int],
        after_step: Callable[[], None],
        prompt_tokens: int = 512,
        decode_op: DecodeOp | None = None,
        ahead: bool | None = None,
        recorder: Recorder | None = None,
        grammars: Grammars | None = None,
        kv_tokens: int | None = None,
    ) -> None:
        on_gpu = model.device.type == "cuda"
        prepared(model, decode_op, joined=on_gpu or recorder is not None)
        self._device = model.device
        self._vocabulary = model.config.vocab_size
        self._eos_ids = eos_ids
        self._grammars = grammars
        self._after_step = after_step
        self._scheduler = Scheduler(prompt_tokens)
        #: How it computes its steps.
        self.steps = start_steps(
            model,
            recorder,
            slots=slots,
            context=context,
            prompt_tokens=prompt_tokens,
            kv_tokens=kv_tokens,
        )
        self._cache = self.steps.cache
        self._ahead = on_gpu if ahead is None else ahead
        self._pending: PendingStep | None = None
        self._waiting = WaitingTurns()
        self._turns = PlacedTurns(self._cache, self._waiting, self._begin)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """How many turns run at once."""
        return self._cache.slots

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        return self._cache.context

    @property
    def free_slots(self) -> int:
        """How many slots are free."""
        return self._turns.free_slots

    @property
    def short_of_memory(self) -> bool:
        """Whether it should be given no more turns now; see `workers.engine.Engine`."""
        return self._turns.short_of_memory

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int = 0,
        low_priority: bool = False,
        on_logprobs: OnLogprobs | None = None,
        constraint: Constraint | None = None,
        cache: CacheScope = NO_OWNER,
    ) -> SlotTurn:
        """Take a turn; see `workers.engine.Engine.submit`."""
        prompt = list(prompt_ids)
        bounds = {"context": self.context, "vocabulary": self._vocabulary}
        check_turn(prompt, sampling, generated=generated, **bounds)
        turn = SlotTurn(
            prompt,
            sampling,
            on_step,
            generated=generated,
            context=self.context,
            low_priority=low_priority,
            on_logprobs=on_logprobs,
            # Compiled on the caller's thread, so that no other turn waits for it.
            matcher=matcher_of(self._grammars, constraint, prompt[len(prompt) - generated :]),
            cache=cache,
        )
        self._waiting.add(turn)
        return turn

    def healthy(self) -> bool:
        """Return whether the engine takes turns."""
        return not self._waiting.closed and self._thread.is_alive()

    def stop(self, drain_seconds: float) -> None:
        """Let the running turns continue for this long, cancel the rest, and join the thread."""
        self._waiting.close("the engine was stopped", drain_seconds=drain_seconds)
        self._thread.join()

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._has_work():
                    metrics.timed_step(self._step)
        except Exception as exc:
            log.exception("the engine's step loop died")
            self._die(f"the engine died: {type(exc).__name__}: {exc}")

    def _has_work(self) -> bool:
        """Wait for a turn; return False if the engine was stopped and no turn is left."""
        if not (self._turns.running or self._pending or self._waiting.wait()):
            return False
        if self._waiting.drained:
            for turn in (*self._turns.running, *self._waiting.all()):
                turn.cancel()
        return True

    def _step(self) -> None:
        self._drop_cancelled()
        self._turns.place()
        step = self._scheduler.next_step(self._turns.running)
        if not self._turns.take_memory(step):
            self._free_memory()
            return
        try:
            pending = self._launch(step) if step else None
            failure = ""
        except torch.OutOfMemoryError as exc:
            if not self._scheduler.shrink():
                raise
            failure = str(exc)
        if failure:
            # Not while the exception is handled, which holds on to the step's memory.
            torch.cuda.empty_cache()
            tokens = self._scheduler.prompt_tokens
            log.warning("prompts are computed %d tokens at a time from now on: %s", tokens, failure)
            return
        if self._ahead:
            pending, self._pending = self._pending, pending
        if pending:
            self._settle(pending)
        self._after_step()

    def _drop_cancelled(self) -> None:
        running = [turn for turn in self._turns.running if turn.cancelled]
        for turn in (*running, *self._waiting.take(lambda turn: turn.cancelled)):
            self._finish(turn, [], Finish(FinishReason.CANCELLED))

    def _begin(self, turn: SlotTurn) -> None:
        turn.logit_changes = logit_changes(
            turn.sampling,
            turn.prompt,
            generated=turn.generated,
            matcher=turn.matcher,
            eos_ids=self._eos_ids,
            vocabulary=self._vocabulary,
            device=self._device,
        )

    def _free_memory(self) -> None:
        """Put a turn back, unless some may be over by now."""
        if self._pending:
            # The host must know all tokens of a turn that is put back.
            pending, self._pending = self._pending, None
            self._settle(pending)
            self._after_step()
        else:
            self._turns.put_back_last()

    def _launch(self, new_tokens: list[tuple[SlotTurn, NewTokens]]) -> PendingStep | None:
        """Run the model once; every turn whose prompt is complete gets its next token.

        If it raises, no turn was changed.
        """
        # Those that get a token come first.
        step = sorted(new_tokens, key=lambda pair: not pair[0].completes(pair[1]))
        answered = [
            (turn, slot) for turn, new in step if (slot := turn.slot) and turn.completes(new)
        ]
        logits = self.steps.logits([new for _, new in step], len(answered))
        pending = choose_next(answered, logits) if answered else None
        for turn, new in step:
            assert turn.slot is not None
            turn.slot.written += len(new.ids)
        for _, slot in answered:
            slot.pending += 1
        if pending and self._ahead:
            indices = to_device([slot.index for _, slot in answered], self._device)
            # NOT_A_NUMBER must be a valid id until the host has read it.
            self._cache.last_ids[indices] = pending.device_ids.clamp(min=0)
        return pending

    def _settle(self, pending: PendingStep) -> None:
        """Deliver to every turn the token that a step chose for it."""
        ids, logprobs = pending.ids(), pending.logprobs()
        for n, ((turn, slot), id) in enumerate(zip(pending.answered, ids, strict=True)):
            if turn.finished or turn.skips_next:
                turn.skips_next = False
                continue
            if id == UNDECIDED:
                turn.choose_again()
                continue
            slot.pending -= 1
            turn.logprobs = logprobs.get(n)
            new, finish = turn.take(id, self._eos_ids)
            if id == NOT_A_NUMBER:
                # The slot may hold NaN, which would spread to its next turn.
                self._turns.clear(slot)
            if finish:
                self._finish(turn, new, finish)
            else:
                self._deliver(turn, new)

    def _deliver(self, turn: SlotTurn, ids: Sequence[int]) -> None:
        try:
            turn.deliver(ids, None)
        except Exception as exc:
            log.exception("a turn's on_step failed, the turn ends")
            message = f"on_step failed: {type(exc).__name__}: {exc}"
            self._finish(turn, [], Finish(FinishReason.ERROR, message))

    def _finish(self, turn: SlotTurn, ids: Sequence[int], finish: Finish) -> None:
        """Release the turn's slot and deliver its finish; called once per turn."""
        turn.finished = True
        self._turns.remove(turn)
        try:
            turn.deliver(ids, finish)
        except Exception:
            log.exception("a turn's on_step failed at its finish")

    def _die(self, message: str) -> None:
        self._waiting.close(message)
        for turn in (*self._turns.running, *self._waiting.take(lambda _: True)):
            self._finish(turn, [], Finish(FinishReason.ERROR, message))
        try:
            self._after_step()
        except Exception:
            log.exception("after_step failed when the engine died")
