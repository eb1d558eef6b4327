"""vLLM as an engine, for large GPUs and for models that need several of them.

vLLM computes in processes of its own. One thread here runs the event loop that submits turns and
delivers their outputs; it owns all attributes of a `VllmTurn`. A turn's draws depend on its seed
and on the length of its prompt at `submit`, so a later attempt continues with other draws.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing, suppress
from pathlib import Path

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.outputs import RequestOutput
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.output_processor import OutputProcessor

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.cache_scope import NO_OWNER, CacheScope
from turnstream.workers.check_turn import check_turn
from turnstream.workers.engine import (
    CheckpointError,
    EngineDead,
    Finish,
    FinishReason,
    OnLogprobs,
    OnStep,
)
from turnstream.workers.engines.grammars import Grammars, matcher_of
from turnstream.workers.engines.orphans import ended_with_us
from turnstream.workers.engines.vllm_grammars import grammar_args
from turnstream.workers.engines.vllm_start import engine_args, started
from turnstream.workers.engines.vllm_turn import VllmTurn, finish_of, sampling_params

log = logging.getLogger(__name__)

#: How long vLLM's processes may take to end, once all turns have ended.
END_SECONDS = 2.0


class VllmEngine:
    """Starts vLLM and answers turns with it; the constructor returns when vLLM is ready.

    Args:
        folder: the checkpoint.
        device: `cpu` or `cuda`, as this vLLM was built for.
        dtype: `float32`, `bfloat16` or `float16`.
        slots: how many turns run at once; others wait.
        context: tokens that a prompt and its answer may have together.
        vocabulary: the model's vocabulary size.
        eos_ids: tokens that end an answer.
        after_step: called on the engine's thread once all ``on_step`` calls of a step are made.
        kv_bytes: memory for keys and values on each GPU; None lets vLLM decide.
        grammars: compiles what answers must follow; None refuses turns with a constraint.
        tensor_parallel: GPUs, or processes on a CPU, that share the model.

    Raises:
        CheckpointError: vLLM cannot start with these.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        dtype: str,
        slots: int,
        context: int,
        vocabulary: int,
        eos_ids: frozenset[int],
        after_step: Callable[[], None],
        kv_bytes: int | None = None,
        tensor_parallel: int = 1,
        grammars: Grammars | None = None,
    ) -> None:
        if current_platform.device_type != device:
            raise CheckpointError(
                f"device {device}: this vLLM was built for {current_platform.device_type or 'none'}"
            )
        self.capacity = slots
        self.context = context
        self._vocabulary = vocabulary
        self._eos_ids = eos_ids
        self._grammars = grammars
        self._after_step = after_step
        self._after_step_due = False
        self._turns: dict[VllmTurn, None] = {}
        self._taken = 0
        self._over = asyncio.Event()
        # Shared with other threads, under the lock.
        self._lock = threading.Lock()
        self._closed = ""
        args = engine_args(
            folder,
            device=device,
            dtype=dtype,
            slots=slots,
            context=context,
            kv_bytes=kv_bytes,
            tensor_parallel=tensor_parallel,
        )
        self._loop: asyncio.AbstractEventLoop
        self._llm: AsyncLLM
        self._requests: OutputProcessor
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(args, ready)), name="engine", daemon=True
        )
        self._thread.start()
        try:
            ready.result()
        except Exception as exc:
            self._thread.join()
            raise CheckpointError(f"vLLM cannot start with {folder}: {exc}") from exc

    @property
    def free_slots(self) -> int:
        """How many slots are free."""
        return max(0, self.capacity - self._requests.get_num_unfinished_requests())

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
    ) -> VllmTurn:
        """Take a turn; see `workers.engine.Engine.submit`."""
        prompt = list(prompt_ids)
        context, vocabulary = self.context, self._vocabulary
        check_turn(prompt, sampling, generated=generated, context=context, vocabulary=vocabulary)
        said = prompt[len(prompt) - generated :]
        matcher = matcher_of(self._grammars, constraint, said)
        params = sampling_params(prompt, sampling, context=context, eos_ids=self._eos_ids)
        if constraint is not None:
            params.extra_args = grammar_args(constraint, said, self._eos_ids)
        turn = VllmTurn(
            prompt,
            params,
            on_step,
            self._schedule_cancel,
            low_priority=low_priority,
            on_logprobs=on_logprobs,
            salt=cache.salt,
            matcher=matcher,
        )
        with self._lock:
            if self._closed:
                raise EngineDead(self._closed)
            self._loop.call_soon_threadsafe(self._begin, turn)
        return turn

    def healthy(self) -> bool:
        """Return whether the engine takes turns."""
        return not self._closed and self._thread.is_alive() and not self._llm.errored

    def stop(self, drain_seconds: float) -> None:
        """Let the running turns continue for this long, cancel the rest, and join the thread."""
        with self._lock:
            self._closed = self._closed or "the engine was stopped"
            # The loop has ended if the engine died or was stopped before.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wind_up, drain_seconds)
        self._thread.join()

    async def _serve(self, args: AsyncEngineArgs, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        with ended_with_us() as all_started:
            try:
                self._llm = await started(args)
                self._requests = self._llm.output_processor
            except Exception as exc:
                ready.set_exception(exc)
                return
            try:
                all_started()
                ready.set_result(None)
                await self._over.wait()
            finally:
                self._llm.shutdown(timeout=END_SECONDS)
                # Its destructor would fail during the interpreter's shutdown.
                del self._llm

    def _begin(self, turn: VllmTurn) -> None:
        self._turns[turn] = None
        if self._over.is_set():
            self._finish(turn, [], Finish(FinishReason.ERROR, self._closed))
            return
        turn.task = self._loop.create_task(self._answer(turn, f"turn-{self._taken}"))
        self._taken += 1

    async def _answer(self, turn: VllmTurn, id: str) -> None:
        """Deliver vLLM's outputs of one turn; leaving the loop early aborts it in vLLM."""
        try:
            async with aclosing(
                self._llm.generate(turn.input, turn.params, id, priority=turn.priority)
            ) as outputs:
                async for output in outputs:
                    self._take(turn, output)
                    if turn.finished and not output.finished:
                        break
        except EngineDeadError as exc:
            self._die(f"the engine died: {exc}")
        except Exception as exc:
            log.exception("vLLM failed with a turn")
            self._finish(turn, [], Finish(FinishReason.ERROR, f"{type(exc).__name__}: {exc}"))

    def _take(self, turn: VllmTurn, output: RequestOutput) -> None:
        [completion] = output.outputs
        ids, turn.logprobs = list(completion.token_ids), completion.logprobs
        turn.cached_tokens = output.num_cached_tokens or turn.cached_tokens
        ended = completion.finish_reason == "stop"
        if not turn.follows(ids, ended=ended):
            message = "the answer's grammar is too complex"
            self._finish(turn, [], Finish(FinishReason.ERROR, message))
            return
        finish = finish_of(completion.finish_reason)
        if finish is None:
            self._deliver(turn, ids)
        else:
            self._finish(turn, ids[:-1] if ended else ids, finish)

    def _deliver(self, turn: VllmTurn, ids: Sequence[int]) -> None:
        try:
            turn.deliver(ids, None)
        except Exception as exc:
            log.exception("a turn's on_step failed, the turn ends")
            message = f"on_step failed: {type(exc).__name__}: {exc}"
            self._finish(turn, [], Finish(FinishReason.ERROR, message))
        self._schedule_after_step()

    def _finish(self, turn: VllmTurn, ids: Sequence[int], finish: Finish) -> None:
        """Deliver a turn's finish; only the first call has an effect."""
        if turn.finished:
            return
        turn.finished = True
        del self._turns[turn]
        try:
            turn.deliver(ids, finish)
        except Exception:
            log.exception("a turn's on_step failed at its finish")
        self._schedule_after_step()
        self._close_when_done()

    def _schedule_cancel(self, turn: VllmTurn) -> None:
        # The loop has ended, and with it every turn, if the engine was stopped.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel, turn)

    def _cancel(self, turn: VllmTurn) -> None:
        self._finish(turn, [], Finish(FinishReason.CANCELLED))
        if turn.task:
            turn.task.cancel()

    def _schedule_after_step(self) -> None:
        """Call `after_step` once, after the outputs of all turns of this step."""
        if not self._after_step_due:
            self._after_step_due = True
            self._loop.call_soon(self._end_step)

    def _end_step(self) -> None:
        self._after_step_due = False
        try:
            self._after_step()
        except Exception as exc:
            log.exception("the engine's step loop died")
            self._die(f"the engine died: {type(exc).__name__}: {exc}")

    def _die(self, message: str) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self._closed = message
        for turn in list(self._turns):
            self._finish(turn, [], Finish(FinishReason.ERROR, message))
        self._over.set()

    def _wind_up(self, drain_seconds: float) -> None:
        self._close_when_done()
        self._loop.call_later(drain_seconds, self._cancel_all)

    def _cancel_all(self) -> None:
        for turn in list(self._turns):
            self._cancel(turn)

    def _close_when_done(self) -> None:
        if self._closed and not self._turns:
            self._over.set()
