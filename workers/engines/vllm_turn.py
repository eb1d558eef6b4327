"""One turn in a `VllmEngine`, and its sampling parameters in vLLM's form."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import vllm
from vllm.inputs.engine import tokens_input
from vllm.logprobs import Logprob, SampleLogprobs
from vllm.sampling_params import RequestOutputKind

from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.engine import Finish, FinishReason, OnLogprobs, OnStep
from turnstream.workers.engines.grammars import Matcher
from turnstream.workers.engines.position_seed import position_seed

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
        on_logprobs: OnLogprobs | None,
        salt: str,
        matcher: Matcher | None = None,
    ) -> None:
        # vLLM salts the whole prompt, also the part that is nobody's own.
        self.input = tokens_input(prompt, cache_salt=salt or None)
        self.params = params
        self.on_step = on_step
        #: None if the turn reports no log probabilities.
        self._on_logprobs = None if params.logprobs is None else on_logprobs
        #: Of the ids to be delivered next, as vLLM returns them.
        self.logprobs: SampleLogprobs | None = None
        self.priority = int(low_priority)
        self.finished = False
        self.task: asyncio.Task[None] | None = None
        #: How many of the prompt's tokens were cached when the turn started.
        self.cached_tokens = 0
        self._cancel = cancel
        self._matcher = matcher

    def follows(self, ids: Sequence[int], *, ended: bool) -> bool:
        """Return whether new ids follow the answer's grammar, if it has one.

        Args:
            ended: the last of them ended the answer.
        """
        if self._matcher is None:
            return True
        said = ids[:-1] if ended else ids
        return all(map(self._matcher.accept, said)) and (not ended or self._matcher.may_end)

    def deliver(self, ids: Sequence[int], finish: Finish | None) -> None:
        """Call `on_step`, and before it `on_logprobs` with the ids' log probabilities."""
        # With them vLLM returns those of the id that ended the answer.
        logprobs, self.logprobs = (self.logprobs or [])[: len(ids)], None
        if self._on_logprobs and ids:
            count = self.params.logprobs or 0
            values = zip(ids, logprobs, strict=True)
            self._on_logprobs([token_logprobs(id, by_id, count) for id, by_id in values])
        self.on_step(ids, finish)

    def cancel(self) -> None:
        """End the turn within a step; a second call, or one after its end, changes nothing."""
        self._cancel(self)


def finish_of(reason: str | None) -> Finish | None:
    """Return how a turn ends, by vLLM's reason; None: it does not end yet."""
    match reason:
        case None:
            return None
        case "stop":
            return Finish(FinishReason.STOP)
        case "length":
            return Finish(FinishReason.LENGTH)
    return Finish(FinishReason.ERROR, f"vLLM ended the turn: {reason}")


def token_logprobs(id: int, by_id: Mapping[int, Logprob], count: int) -> TokenLogprobs:
    """Return what vLLM reports at one place, as `count` likeliest tokens and the chosen one."""
    likeliest = sorted(by_id, key=lambda each: -by_id[each].logprob)[:count]
    return TokenLogprobs(
        by_id[id].logprob, tuple((each, by_id[each].logprob) for each in likeliest)
    )


def sampling_params(
    prompt: Sequence[int], sampling: SamplingParams, *, context: int, eos_ids: frozenset[int]
) -> vllm.SamplingParams:
    """Return vLLM's sampling parameters, all of them set, so that no defaults apply."""
    most = min(sampling.max_tokens or context, context - len(prompt))
    return vllm.SamplingParams(
        max_tokens=most,
        temperature=sampling.temperature,
        top_p=max(sampling.top_p, MIN_TOP_P),
        top_k=sampling.top_k,
        # A continued turn must not repeat the draws of its first tokens.
        seed=position_seed(sampling.seed, len(prompt)),
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logit_bias=dict(sampling.logit_bias) or None,
        min_tokens=min(sampling.min_tokens, most),
        logprobs=sampling.top_logprobs,
        # The EOS ids are given as stop ids, since they may differ from the checkpoint's.
        ignore_eos=True,
        stop_token_ids=[] if sampling.ignore_eos else sorted(eos_ids),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
