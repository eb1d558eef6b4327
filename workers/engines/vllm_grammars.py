"""Holds vLLM's answers to grammars with the matcher of the slot engine.

vLLM's own structured outputs begin with an answer and cannot go on in the middle of one. This runs
in vLLM's process, which sees a turn's new ids; those of an earlier attempt come with the turn.
"""

from collections.abc import Callable, Sequence
from typing import Any

import vllm
from torch import Tensor
from transformers import AutoTokenizer
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from turnstream.turns.constraint import Constraint
from turnstream.workers.engines.grammar_mask import restrict
from turnstream.workers.engines.grammars import Grammars

#: Where a turn's grammar is in the extra arguments of its sampling parameters.
KEY = "turnstream_grammar"


def grammar_args(
    constraint: Constraint, generated: Sequence[int], eos_ids: frozenset[int]
) -> dict[str, Any]:
    """Return the extra arguments of a turn."""
    written = [constraint.kind, constraint.text]
    return {KEY: {"constraint": written, "generated": list(generated), "eos": sorted(eos_ids)}}


class VllmGrammars(AdapterLogitsProcessor):
    """Makes the tokens impossible that the grammar of a turn does not allow."""

    def __init__(self, config: VllmConfig, device: Any, is_pin_memory: bool) -> None:
        super().__init__(config, device, is_pin_memory)
        self._folder = config.model_config.model
        self._vocabulary = config.model_config.get_vocab_size()
        self._compilers: dict[tuple[int, ...], Grammars] = {}

    def is_argmax_invariant(self) -> bool:
        """Return whether greedy answers stay the same."""
        return False

    def new_req_logits_processor(
        self, params: vllm.SamplingParams
    ) -> Callable[[list[int], Tensor], Tensor] | None:
        """Return what changes the logits of a turn; None without a grammar."""
        args = (params.extra_args or {}).get(KEY)
        if args is None:
            return None
        matcher = self._grammars(tuple(args["eos"])).matcher(
            Constraint(*args["constraint"]), args["generated"]
        )
        followed = 0

        def mask(output_ids: list[int], logits: Tensor) -> Tensor:
            nonlocal followed
            for id in output_ids[followed:]:
                matcher.accept(id)
            followed = len(output_ids)
            restrict(matcher, logits)
            return logits

        return mask

    def _grammars(self, eos_ids: tuple[int, ...]) -> Grammars:
        if eos_ids not in self._compilers:
            self._compilers[eos_ids] = Grammars(
                AutoTokenizer.from_pretrained(self._folder),
                vocabulary=self._vocabulary,
                eos_ids=frozenset(eos_ids),
            )
        return self._compilers[eos_ids]
