"""Greedy answers of an engine against those of transformers' own `generate`.

Where an answer differs first, transformers' logits at that place say whether that is rounding or a
fault. What follows is another text and cannot be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LlamaForCausalLM

from turnstream.workers.engines.check_report import Part, Verdict
from turnstream.workers.engines.quiet_loading import quiet
from turnstream.workers.engines.step_check import TOLERANCE


@dataclass(frozen=True, slots=True)
class Expected:
    """An answer of transformers' `generate`."""

    prompt: list[int]
    ids: list[int]
    #: ``(ids, vocabulary)`` float32, on the CPU.
    logits: Tensor


def generate(model: LlamaForCausalLM, prompt: list[int], tokens: int) -> Expected:
    """Return the greedy answer of a model that no engine has prepared yet."""
    with quiet():
        # The checkpoint's own would end the answer at an EOS.
        model.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=tokens,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
        ids = torch.tensor([prompt], device=model.device)
        untyped: Any = model
        out = untyped.generate(ids, attention_mask=torch.ones_like(ids))
    answer = out.sequences[0, len(prompt) :].tolist()
    return Expected(prompt, answer, torch.cat(out.logits).float().cpu())


def compare(answers: Sequence[list[int]], expected: Sequence[Expected], *, exact: bool) -> Part:
    """Compare an engine's answers with the expected ones.

    Args:
        exact: no difference is put down to rounding.
    """
    found: list[str] = []
    verdict = Verdict.OK
    for ids, wanted in zip(answers, expected, strict=True):
        pairs = zip(ids, wanted.ids, strict=False)
        same = next((n for n, (one, other) in enumerate(pairs) if one != other), len(wanted.ids))
        about = f"{same} of {len(wanted.ids)} tokens after a prompt of {len(wanted.prompt)}"
        if len(ids) < len(wanted.ids):
            verdict = Verdict.WRONG
            about += f", and then it ends after {len(ids)}"
        elif same < len(wanted.ids):
            row = wanted.logits[same]
            behind = float((row.max() - row[ids[same]]) / row.std())
            about += f", then one that is {behind:.3f} standard deviations less likely"
            if exact or behind > 2 * TOLERANCE:
                verdict = Verdict.WRONG
        found.append(about)
    name = "greedy answers equal to transformers' generate"
    return Part(name=name, verdict=verdict, found="; ".join(found))
