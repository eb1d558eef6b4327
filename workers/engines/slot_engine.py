"""Answer many turns at once with one transformers Llama: continuous batching on one thread.

Each step is one pass of the model over one token of every answering turn and a bounded piece of the
prompts that are joining, so a long prompt costs the others no more than one such piece. A turn
joins at the step after it was submitted, leaves at its end, and its slot is taken again at once.

While a GPU computes a step, the next one is launched already, its tokens known to the GPU alone.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import EngineDead, Finish, FinishReason, OnStep
from turnstream.workers.engines import attention, sampler
from turnstream.workers.engines.attention import PackedStep, Part
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.fused_attention import fuse
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.packed_linear import pack
from turnstream.workers.engines.penalties import penalties
from turnstream.workers.engines.pending_step import PendingStep
from turnstream.workers.engines.prompt_check import check_prompt
from turnstream.workers.engines.recorded_steps import Recorder, recorded_steps
from turnstream.workers.engines.sampler import NOT_A_NUMBER, Ask
from turnstream.workers.engines.slot_turn import SlotTurn
from turnstream.workers.engines.slots import Slot, Slots
from turnstream.workers.engines.step_plan import StepPlan
from turnstream.workers.engines.upload import upload

log = logging.getLogger(__name__)


class SlotEngine:
    """The engine that a worker has unless it is told otherwise.

    Args:
        model: in evaluation mode, on its device; the engine has it to itself.
        slots: how many turns run at once.
        context: tokens per slot; the memory for ``slots × context`` is taken here.
        eos_ids: tokens that end an answer.
        after_step: called on the engine's thread once all ``on_step`` calls of a step are made.
        prompt_tokens: how much of the joining prompts one step takes at most.
        decode_op: what a CPU does part of its attention with; None does all in torch.
        ahead: whether a step is launched before the last one's ids are known; None does so on a
            GPU. What a turn that has ended says in the next step is nobody's.
        recorder: what a GPU records steps with; None launches each anew.
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
    ) -> None:
        if model.device.type == "cpu":
            if decode_op and not fuse(model, decode_op):
                log.info("the compiled decode attention does not suit this model: torch does it")
            pack(model)
        attention.register()
        model.config._attn_implementation = attention.ATTENTION
        self._model = model
        self._device = model.device
        self._vocabulary = model.config.vocab_size
        self._eos_ids = eos_ids
        self._after_step = after_step
        self._plan = StepPlan(prompt_tokens)
        self._cache = KvCache(
            model.config,
            slots=slots,
            context=context,
            dtype=model.dtype,
            device=model.device,
            page_tokens=recorder.page_tokens if recorder else None,
        )
        self._recorded = recorded_steps(model, self._cache, recorder) if recorder else None
        self._slots = Slots(slots)
        self._running: list[SlotTurn] = []
        self._ahead = model.device.type == "cuda" if ahead is None else ahead
        self._pending: PendingStep | None = None

        # Shared with other threads, under the condition.
        self._work = threading.Condition()
        self._waiting: deque[SlotTurn] = deque()
        self._closed = ""
        self._drained_by = float("inf")

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
        """How many slots no turn has."""
        return self._slots.free

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int = 0,
        low_priority: bool = False,
    ) -> SlotTurn:
        """Take a turn; see `workers.engine.Engine.submit`."""
        prompt = list(prompt_ids)
        check_prompt(
            prompt,
            generated=generated,
            context=self.context,
            vocabulary=self._vocabulary,
        )
        room = self.context if sampling.max_tokens is None else sampling.max_tokens
        end = min(self.context, len(prompt) + room)
        turn = SlotTurn(
            prompt, sampling, on_step, generated=generated, end=end, low_priority=low_priority
        )
        with self._work:
            if self._closed:
                raise EngineDead(self._closed)
            self._waiting.append(turn)
            self._work.notify()
        return turn

    def healthy(self) -> bool:
        """Whether turns are still taken."""
        return not self._closed and self._thread.is_alive()

    def stop(self, drain_seconds: float) -> None:
        """Let the turns taken so far run for this long, cancel the rest, and join the thread."""
        with self._work:
            self._closed = self._closed or "the engine was stopped"
            self._drained_by = min(self._drained_by, time.monotonic() + drain_seconds)
            self._work.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._has_work():
                    self._step()
        except Exception as exc:
            log.exception("the engine's step loop died")
            self._die(f"the engine died: {type(exc).__name__}: {exc}")

    def _has_work(self) -> bool:
        """Wait for a turn; False when the engine was stopped and none is left."""
        with self._work:
            while not (self._running or self._waiting or self._pending):
                if self._closed:
                    return False
                self._work.wait()
            if time.monotonic() >= self._drained_by:
                for turn in (*self._running, *self._waiting):
                    turn.cancel()
            return True

    def _step(self) -> None:
        self._drop_cancelled()
        self._seat_waiting()
        parts = self._plan.next_parts(self._running)
        pending = self._launch(parts) if parts else None
        if self._ahead:
            pending, self._pending = self._pending, pending
        if pending:
            self._settle(pending)
        self._after_step()

    def _drop_cancelled(self) -> None:
        with self._work:
            gone = [turn for turn in (*self._running, *self._waiting) if turn.cancelled]
            self._waiting = deque(turn for turn in self._waiting if turn not in gone)
        for turn in gone:
            self._finish(turn, [], Finish(FinishReason.CANCELLED))

    def _seat_waiting(self) -> None:
        while self._slots.free:
            with self._work:
                if not self._waiting:
                    return
                turn = self._waiting.popleft()
            seat = self._slots.take(turn.prompt)
            if seat.source:
                self._cache.copy(
                    source=seat.source.index, target=seat.slot.index, length=seat.slot.written
                )
            turn.slot = seat.slot
            turn.cached_tokens = seat.slot.written
            turn.penalties = penalties(
                turn.sampling,
                turn.prompt,
                generated=turn.generated,
                vocabulary=self._vocabulary,
                device=self._device,
            )
            self._running.append(turn)

    def _launch(self, parts: list[tuple[SlotTurn, Part]]) -> PendingStep | None:
        """Run the model once; every turn whose prompt is complete gets its next token."""
        step = PackedStep(self._cache, [part for _, part in parts], self._device)
        asking: list[tuple[SlotTurn, Slot, Part]] = []
        for turn, part in parts:
            slot = turn.slot
            assert slot is not None
            slot.written += len(part.ids)
            if slot.written == len(slot.ids) + slot.unknown:
                slot.unknown += 1
                asking.append((turn, slot, part))
        if not asking:
            step.hidden(self._model)
            return None
        ids = sampler.choose(
            self._logits(step, [part for _, _, part in asking]),
            [Ask(turn.sampling, slot.written, turn.penalties) for turn, slot, _ in asking],
        )
        for n, (turn, _, _) in enumerate(asking):
            if turn.penalties:
                turn.penalties.add(ids[n : n + 1])
        if self._ahead:
            slots = upload([slot.index for _, slot, _ in asking], self._device)
            # One that is not a number is a token like any other, till the host hears of it.
            self._cache.latest[slots] = ids.clamp(min=0)
        return PendingStep([(turn, slot) for turn, slot, _ in asking], ids)

    def _logits(self, step: PackedStep, asking: Sequence[Part]) -> Tensor:
        """Run the model; return what it says at the end of some parts, ``(parts, vocabulary)``."""
        if self._recorded and not step.stretches:
            return self._recorded.logits(step)[step.last_tokens(asking)]
        return self._model.lm_head(step.hidden(self._model)[step.last_tokens(asking)])

    def _settle(self, pending: PendingStep) -> None:
        """Hand every turn the token that a step chose for it."""
        for (turn, slot), id in zip(pending.answered, pending.ids(), strict=True):
            if turn.over:
                continue
            slot.unknown -= 1
            if id == NOT_A_NUMBER:
                # What the slot holds is poison for whoever comes next.
                self._cache.clear(slot.index)
                slot.written = 0
                message = "the model's output for this turn was not a number"
                self._finish(turn, [], Finish(FinishReason.ERROR, message))
            elif id in self._eos_ids:
                self._finish(turn, [], Finish(FinishReason.STOP))
            else:
                slot.ids.append(id)
                if len(slot.ids) == turn.end:
                    self._finish(turn, [id], Finish(FinishReason.LENGTH))
                else:
                    self._tell(turn, [id])

    def _tell(self, turn: SlotTurn, ids: Sequence[int]) -> None:
        try:
            turn.on_step(ids, None)
        except Exception as exc:
            log.exception("a turn's on_step failed; the turn ends here")
            message = f"the step could not be taken: {type(exc).__name__}: {exc}"
            self._finish(turn, [], Finish(FinishReason.ERROR, message))

    def _finish(self, turn: SlotTurn, ids: Sequence[int], finish: Finish) -> None:
        """Give the turn's slot back and tell its end, the one time that it ends."""
        turn.over = True
        if turn.slot:
            self._slots.leave(turn.slot)
            self._running.remove(turn)
        try:
            turn.on_step(ids, finish)
        except Exception:
            log.exception("a turn's on_step failed at its finish")

    def _die(self, message: str) -> None:
        with self._work:
            self._closed = message
            waiting, self._waiting = self._waiting, deque()
        for turn in (*self._running, *waiting):
            self._finish(turn, [], Finish(FinishReason.ERROR, message))
        try:
            self._after_step()
        except Exception:
            log.exception("after_step failed when the engine died")
