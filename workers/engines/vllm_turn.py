"""One turn in a `VllmEngine`, and its sampling parameters in vLLM's form."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import vllm
from vllm.sampling_params import RequestOutputKind

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import OnStep

#: The smallest top_p above 0, which vLLM refuses: either leaves only the likeliest token.
MIN_TOP_P = 1e-9


class VllmTurn:
    """A turn in a `VllmEngine`; all but `cancel` belongs to the engine's thread."""

    def __init__(
        self,
        prompt: list[int],
        params: vllm.SamplingParams,
        on_step: OnStep,
        cancel: Callable[["VllmTurn"], None],
        *,
        low_priority: bool,
    ) -> None:
        self.prompt = prompt
        self.params = params
        self.on_step = on_step
        self.low_priority = low_priority
        self.finished = False
        self.task: asyncio.Task[None] | None = None
        #: How many of the prompt's tokens were cached when the turn started.
        self.cached_tokens = 0
        self._cancel = cancel

    def cancel(self) -> None:
        """End the turn within a step; a second call, or one after its end, changes nothing."""
        self._cancel(self)


def sampling_params(
    prompt: Sequence[int], sampling: SamplingParams, *, context: int, eos_ids: frozenset[int]
) -> vllm.SamplingParams:
    """Return vLLM's sampling parameters, all of them set, so that no defaults apply."""
    # A continued turn must not repeat the draws of its first tokens.
    digest = hashlib.blake2b(f"{sampling.seed}:{len(prompt)}".encode(), digest_size=7).digest()
    return vllm.SamplingParams(
        max_tokens=min(sampling.max_tokens or context, context - len(prompt)),
        temperature=sampling.temperature,
        top_p=max(sampling.top_p, MIN_TOP_P),
        top_k=sampling.top_k,
        seed=int.from_bytes(digest, "big"),
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        repetition_penalty=sampling.repetition_penalty,
        # The EOS ids are given as stop ids, since they may differ from the checkpoint's.
        ignore_eos=True,
        stop_token_ids=sorted(eos_ids),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
