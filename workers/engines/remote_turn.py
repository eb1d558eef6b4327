"""A turn whose tokens are computed by a vLLM server, and what one of its requests asks for."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.engine import Finish, OnLogprobs, OnStep
from turnstream.workers.engines.grammars import Matcher
from turnstream.workers.engines.position_seed import position_seed

#: The smallest top_p above 0, which vLLM refuses: either leaves only the likeliest token.
MIN_TOP_P = 1e-9
#: Has vLLM take llguidance for a grammar, which is what ours are written for.
_LLGUIDANCE = "%llguidance {}\n"


class RemoteTurn:
    """A turn in a `RemoteEngine`; all but `cancel` belongs to the engine's thread.

    Args:
        prompt: with the ids that an earlier attempt generated.
        generated: how many these are.
        most: new tokens at most.
    """

    def __init__(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        on_step: OnStep,
        cancel: Callable[["RemoteTurn"], None],
        *,
        generated: int,
        most: int,
        low_priority: bool,
        on_logprobs: OnLogprobs | None,
        salt: str,
        constraint: Constraint | None,
        matcher: Matcher | None,
    ) -> None:
        #: Of the prompt and the answer so far.
        self.ids = prompt
        self.sampling = sampling
        self.low_priority = low_priority
        self.salt = salt
        self.finished = False
        self.task: asyncio.Task[None] | None = None
        #: How many of the prompt's tokens were cached at the server that ended the turn.
        self.cached_tokens = 0
        #: Failures of servers since the last new id.
        self.failures = 0
        #: Of the ids to be delivered next.
        self.logprobs: Sequence[TokenLogprobs] = ()
        self._end = len(prompt) + most
        #: Where the answer begins, for the tokens that it must have.
        self._begin = len(prompt)
        self._generated = generated
        self._on_step = on_step
        self._on_logprobs = None if sampling.top_logprobs is None else on_logprobs
        self._cancel = cancel
        self._constraint = constraint
        self._matcher = matcher

    @property
    def left(self) -> int:
        """How many tokens it may still get."""
        return self._end - len(self.ids)

    @property
    def complete(self) -> bool:
        """Whether its grammar allows nothing more."""
        return self._matcher is not None and self._matcher.complete

    @property
    def stepwise(self) -> bool:
        """Whether its next request is for one token, from those that its grammar allows.

        vLLM's own structured outputs begin with an answer and cannot go on in the middle of one.
        """
        begun = self._generated > 0 or len(self.ids) > self._begin
        return self._matcher is not None and begun

    def params(self, eos_ids: frozenset[int]) -> dict[str, Any]:
        """Return vLLM's sampling parameters of the next request, all of them, without defaults."""
        sampling = self.sampling
        most = 1 if self.stepwise else self.left
        least = sampling.min_tokens - (len(self.ids) - self._begin)
        params: dict[str, Any] = {
            "max_tokens": most,
            "temperature": sampling.temperature,
            "top_p": max(sampling.top_p, MIN_TOP_P),
            "top_k": sampling.top_k,
            "min_p": 0.0,
            # A continued turn must not repeat the draws of its first tokens.
            "seed": position_seed(sampling.seed, len(self.ids)),
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            "repetition_penalty": sampling.repetition_penalty,
            "min_tokens": max(0, min(least, most)),
            # The EOS ids are given as stop ids, since they may differ from the server's.
            "ignore_eos": True,
            "stop_token_ids": [] if sampling.ignore_eos else sorted(eos_ids),
        }
        if sampling.logit_bias:
            params["logit_bias"] = {str(id): bias for id, bias in sampling.logit_bias}
        if self.stepwise:
            assert self._matcher is not None
            params["allowed_token_ids"] = self._matcher.allowed().nonzero()[0].tolist()
        elif self._constraint is not None:
            params["structured_outputs"] = {"grammar": _LLGUIDANCE + self._constraint.grammar}
        return params

    def follows(self, ids: Sequence[int], *, ended: bool) -> bool:
        """Return whether new ids follow the answer's grammar, if it has one.

        Args:
            ended: the answer ends after them.
        """
        if self._matcher is None:
            return True
        return all(map(self._matcher.accept, ids)) and (not ended or self._matcher.may_end)

    def deliver(self, ids: Sequence[int], finish: Finish | None) -> None:
        """Call `on_step`, and before it `on_logprobs` with the ids' log probabilities."""
        logprobs, self.logprobs = self.logprobs[: len(ids)], ()
        if self._on_logprobs and ids:
            self._on_logprobs(logprobs)
        self._on_step(ids, finish)

    def cancel(self) -> None:
        """End the turn within a step; a second call, or one after its end, changes nothing."""
        self._cancel(self)
