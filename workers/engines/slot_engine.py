"""Answer many turns at once with one transformers Llama: continuous batching on one thread.

Each step is one pass of the model over one token of every answering turn and a bounded piece of the
prompts that are joining, so a long prompt costs the others no more than one such piece. A turn
joins at the step after it was submitted, leaves at its end, and its row is taken again at once.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import torch
from transformers import LlamaForCausalLM

from workers.engine import EngineDead, Finish, FinishReason, OnStep, Sampling
from workers.engines import attention, sampler
from workers.engines.attention import Part, Step
from workers.engines.decode_op import DecodeOp
from workers.engines.fused_attention import fuse
from workers.engines.kv_slots import KvSlots
from workers.engines.packed_linear import pack
from workers.engines.penalties import penalties
from workers.engines.prompt_check import check_prompt
from workers.engines.rows import Row, Rows
from workers.engines.sampler import Ask
from workers.engines.slot_turn import SlotTurn

log = logging.getLogger(__name__)


class SlotEngine:
    """The engine that a worker has unless it is told otherwise.

    Args:
        model: in evaluation mode, on its device; the engine has it to itself.
        rows: how many turns run at once.
        context: tokens per row; the memory for ``rows × context`` is taken here.
        eos_ids: tokens that end an answer.
        after_step: called on the engine's thread once all ``on_step`` calls of a step are made.
        prompt_tokens: how much of the joining prompts one step takes at most.
        decode_op: what a CPU does part of its attention with; None does all in torch.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        *,
        rows: int,
        context: int,
        eos_ids: frozenset[int],
        after_step: Callable[[], None],
        prompt_tokens: int = 512,
        decode_op: DecodeOp | None = None,
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
        self._prompt_tokens = prompt_tokens
        self._slots = KvSlots(
            model.config, rows=rows, context=context, dtype=model.dtype, device=model.device
        )
        self._rows = Rows(rows)
        self._running: list[SlotTurn] = []
        self._sitting_out = False

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
        return self._slots.rows

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        return self._slots.context

    @property
    def free_rows(self) -> int:
        """How many rows no turn has."""
        return self._rows.free

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        on_step: OnStep,
        *,
        patient: bool = False,
    ) -> SlotTurn:
        """Take a turn; see `workers.engine.Engine.submit`."""
        prompt = list(prompt_ids)
        check_prompt(
            prompt,
            answered=sampling.answered,
            context=self.context,
            vocabulary=self._vocabulary,
        )
        end = min(self.context, len(prompt) + sampling.max_tokens)
        turn = SlotTurn(prompt, sampling, on_step, end=end, patient=patient)
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
            while not (self._running or self._waiting):
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
        parts = self._next_parts()
        if parts:
            self._advance(parts)
        self._after_step()

    def _drop_cancelled(self) -> None:
        with self._work:
            gone = [turn for turn in (*self._running, *self._waiting) if turn.cancelled]
            self._waiting = deque(turn for turn in self._waiting if turn not in gone)
        for turn in gone:
            self._finish(turn, [], Finish(FinishReason.CANCELLED))

    def _seat_waiting(self) -> None:
        while self._rows.free:
            with self._work:
                if not self._waiting:
                    return
                turn = self._waiting.popleft()
            seat = self._rows.take(turn.prompt)
            if seat.source:
                self._slots.copy(
                    source=seat.source.index, target=seat.row.index, length=seat.row.written
                )
            turn.row = seat.row
            turn.cached_tokens = seat.row.written
            turn.penalties = penalties(
                turn.sampling, turn.prompt, vocabulary=self._vocabulary, device=self._device
            )
            self._running.append(turn)

    def _next_parts(self) -> list[tuple[SlotTurn, Part]]:
        """Pick every answering turn's next token, and prompt pieces in the order of joining."""
        parts: list[tuple[SlotTurn, Part]] = []
        room = self._prompt_tokens
        # Who has said nothing yet is waited for most. But nobody sits out two steps on end, so that
        # no crowd of them holds up the others for good.
        silent = any(turn.silent for turn in self._running if not turn.patient)
        self._sitting_out = silent and not self._sitting_out
        for turn in self._running:
            if turn.patient and self._sitting_out:
                continue
            row = turn.row
            assert row is not None
            missing = len(row.ids) - row.written
            answering = missing == 1
            size = 1 if answering else min(missing, room)
            if size:
                ids = row.ids[row.written : row.written + size]
                parts.append((turn, Part(row=row.index, start=row.written, ids=ids)))
                room -= 0 if answering else size
        return parts

    def _advance(self, parts: list[tuple[SlotTurn, Part]]) -> None:
        """Run the model once and hand every turn whose prompt is complete its next token."""
        step = Step(self._slots, [part for _, part in parts], self._device)
        asking: list[tuple[SlotTurn, Row, Part]] = []
        for turn, part in parts:
            assert turn.row is not None
            turn.row.written += len(part.ids)
            if turn.row.written == len(turn.row.ids):
                asking.append((turn, turn.row, part))
        hidden = self._model.model(
            input_ids=step.ids[None],
            position_ids=step.positions[None],
            use_cache=False,
            step=step,
        ).last_hidden_state[0]
        if not asking:
            return
        last_tokens = step.last_tokens([part for _, _, part in asking])
        ids = sampler.choose(
            self._model.lm_head(hidden[last_tokens]),
            [Ask(turn.sampling, row.written, turn.penalties) for turn, row, _ in asking],
        )
        for (turn, row, _), id in zip(asking, ids, strict=True):
            if id is None:
                # What the row holds is poison for whoever comes next.
                self._slots.clear(row.index)
                row.written = 0
                message = "the model's output for this turn was not a number"
                self._finish(turn, [], Finish(FinishReason.ERROR, message))
            elif id in self._eos_ids:
                self._finish(turn, [], Finish(FinishReason.STOP))
            else:
                row.ids.append(id)
                if turn.penalties:
                    turn.penalties.add(id)
                if len(row.ids) == turn.end:
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
        """Give the turn's row back and tell its end, the one time that it ends."""
        if turn.row:
            self._rows.leave(turn.row)
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
