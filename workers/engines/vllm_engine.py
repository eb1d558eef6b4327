"""vLLM as an engine, for large GPUs and for models that need several of them.

vLLM computes in processes of its own. One thread here runs the event loop that submits turns and
delivers their outputs; it owns all attributes of a `VllmTurn`. A turn's draws depend on its seed
and on the length of its prompt at `submit`, so a later attempt continues with other draws.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.outputs import RequestOutput
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.output_processor import OutputProcessor

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.cache_scope import NO_OWNER, CacheScope
from turnstream.workers.check_turn import check_turn
from turnstream.workers.engine import (
    CheckpointError,
    Finish,
    FinishReason,
    OnLogprobs,
    OnStep,
)
from turnstream.workers.engines.grammars import Grammars, matcher_of
from turnstream.workers.engines.loop_turns import LoopTurns
from turnstream.workers.engines.orphans import ended_with_us
from turnstream.workers.engines.vllm_grammars import grammar_args
from turnstream.workers.engines.vllm_start import lora_request, started
from turnstream.workers.engines.vllm_turn import VllmTurn, finish_of, sampling_params

#: How long vLLM's processes may take to end, once all turns have ended.
END_SECONDS = 2.0


class VllmEngine:
    """Starts vLLM and answers turns with it; the constructor returns when vLLM is ready.

    Args:
        args: what vLLM is started with, as `vllm_start.engine_args` returns it.
        vocabulary: the model's vocabulary size.
        eos_ids: tokens that end an answer.
        after_step: called on the engine's thread once all ``on_step`` calls of a step are made.
        grammars: compiles what answers must follow; None refuses turns with a constraint.
        adapter: the folder of the LoRA adapter that every turn uses, if `args` has one.

    Raises:
        CheckpointError: vLLM cannot start with these.
    """

    def __init__(
        self,
        args: AsyncEngineArgs,
        *,
        vocabulary: int,
        eos_ids: frozenset[int],
        after_step: Callable[[], None],
        grammars: Grammars | None = None,
        adapter: Path | None = None,
    ) -> None:
        assert args.max_num_seqs
        assert args.max_model_len
        self.capacity = args.max_num_seqs
        self.context = args.max_model_len
        self.short_of_memory = False  # vLLM puts turns back itself.
        self._vocabulary = vocabulary
        self._eos_ids = eos_ids
        self._grammars = grammars
        self._adapter = adapter and lora_request(adapter)
        self._turns = LoopTurns(self._answer, after_step)
        self._taken = 0
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
            raise CheckpointError(f"vLLM cannot start with {args.model}: {exc}") from exc

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
            self._turns.schedule_cancel,
            low_priority=low_priority,
            on_logprobs=on_logprobs,
            salt=cache.salt,
            matcher=matcher,
        )
        self._turns.submit(turn)
        return turn

    def healthy(self) -> bool:
        """Return whether the engine takes turns."""
        return self._turns.open and self._thread.is_alive() and not self._llm.errored

    def stop(self, drain_seconds: float) -> None:
        """Let the running turns continue for this long, cancel the rest, and join the thread."""
        self._turns.schedule_end(drain_seconds)
        self._thread.join()

    async def _serve(self, args: AsyncEngineArgs, ready: Future[None]) -> None:
        self._turns.run_here()
        with ended_with_us() as all_started:
            try:
                self._llm = await started(args, self._adapter)
                self._requests = self._llm.output_processor
            except Exception as exc:
                ready.set_exception(exc)
                return
            try:
                all_started()
                ready.set_result(None)
                await self._turns.over.wait()
            finally:
                self._llm.shutdown(timeout=END_SECONDS)
                # Its destructor would fail during the interpreter's shutdown.
                del self._llm

    async def _answer(self, turn: VllmTurn) -> None:
        """Deliver vLLM's outputs of one turn; leaving the loop early aborts it in vLLM."""
        self._taken += 1
        try:
            async with aclosing(
                self._llm.generate(
                    turn.input,
                    turn.params,
                    f"turn-{self._taken}",
                    priority=turn.priority,
                    lora_request=self._adapter,
                )
            ) as outputs:
                async for output in outputs:
                    self._take(turn, output)
                    if turn.finished and not output.finished:
                        break
        except EngineDeadError as exc:
            self._turns.die(f"the engine died: {exc}")

    def _take(self, turn: VllmTurn, output: RequestOutput) -> None:
        [completion] = output.outputs
        ids, turn.logprobs = list(completion.token_ids), completion.logprobs
        turn.cached_tokens = output.num_cached_tokens or turn.cached_tokens
        ended = completion.finish_reason == "stop"
        if not turn.follows(ids, ended=ended):
            message = "the answer's grammar is too complex"
            self._turns.finish(turn, [], Finish(FinishReason.ERROR, message))
            return
        finish = finish_of(completion.finish_reason)
        if finish is None:
            self._turns.deliver(turn, ids)
        else:
            self._turns.finish(turn, ids[:-1] if ended else ids, finish)
