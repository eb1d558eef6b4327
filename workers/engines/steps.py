"""Choose how an engine computes its steps: over slots in pages on a GPU, else over plain slots."""

import logging
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from turnstream.workers.engines.attention import NewTokens, PackedStep
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.paged_cache import PagedCache
from turnstream.workers.engines.recorded_steps import PagedSteps, Recorder, layouts
from turnstream.workers.engines.slot_cache import PAGE_TOKENS as SLOT_PAGE_TOKENS
from turnstream.workers.engines.slot_cache import SlotCache
from turnstream.workers.engines.step_check import (
    StepCheck,
    attention_differences,
    check_attention,
)

log = logging.getLogger(__name__)

#: Types of rotary embedding that wait for the positions of a step, which a recording cannot.
ROPE_BY_POSITION = ("dynamic", "longrope")
#: Numbers of turns that attention is checked for at start.
_CHECKED_TURNS = (1, 2, 5)


class Steps(Protocol):
    """Computes steps over a cache."""

    @property
    def cache(self) -> KvCache:
        """The cache that the steps read and write."""
        ...

    def logits(self, new_tokens: Sequence[NewTokens], answered: int) -> Tensor:
        """Run the model once; return logits, which the next call may overwrite.

        Args:
            new_tokens: each slot at most once.
            answered: how many turns, the first ones, need the logits at their last token.

        Returns:
            ``(answered, vocabulary)``.
        """
        ...


class PlainSteps:
    """Steps with plain matrix products, on any device."""

    def __init__(self, model: LlamaForCausalLM, cache: KvCache) -> None:
        self._model = model
        self.cache = cache

    def logits(self, new_tokens: Sequence[NewTokens], answered: int) -> Tensor:
        """Run the model once; see `Steps.logits`."""
        step = PackedStep(self.cache, new_tokens, self._model.device)
        hidden = step.hidden(self._model)
        last = step.last_tokens([new.slot for new in new_tokens[:answered]])
        out: Tensor = self._model.lm_head(hidden[last]) if answered else hidden[:0]
        return out


def start_steps(
    model: LlamaForCausalLM,
    recorder: Recorder | None,
    *,
    slots: int,
    context: int,
    prompt_tokens: int,
    kv_tokens: int | None = None,
) -> Steps:
    """Allocate a cache and return what computes steps over it.

    Args:
        recorder: None, or what is used for slots in pages if it computes the right thing.
        kv_tokens: how many tokens the cache has memory for; None has a context for every slot.
    """
    if recorder:
        try:
            return _start_paged(
                model,
                recorder,
                slots=slots,
                context=context,
                prompt_tokens=prompt_tokens,
                kv_tokens=kv_tokens,
            )
        except Exception as exc:  # drivers and kernels may fail in any way
            log.warning("slots have no pages, and each step is launched separately: %s", str(exc))
        # Both caches together would not fit.
        torch.cuda.empty_cache()
    if kv_tokens is not None and model.device.type != "cpu":
        # There each slot has room for a whole context from the start.
        slots = min(slots, max(kv_tokens // context, 1))
        kv_tokens = None
    cache = SlotCache(
        model.config,
        slots=slots,
        context=context,
        dtype=model.dtype,
        device=model.device,
        pages=_pages(kv_tokens, SLOT_PAGE_TOKENS),
    )
    return PlainSteps(model, cache)


def _start_paged(
    model: LlamaForCausalLM,
    recorder: Recorder,
    *,
    slots: int,
    context: int,
    prompt_tokens: int,
    kv_tokens: int | None,
) -> PagedSteps:
    """Return steps over pages; raise if they compute something else than the model."""
    with torch.inference_mode():
        check_attention(
            attention_differences(
                recorder.attend,
                model.config,
                page_tokens=recorder.page_tokens,
                dtype=model.dtype,
                device=model.device,
                turns=[turns for turns in _CHECKED_TURNS if turns <= slots],
            )
        )
        cache = PagedCache(
            model.config,
            slots=slots,
            context=context,
            dtype=model.dtype,
            device=model.device,
            page_tokens=recorder.page_tokens,
            pages=_pages(kv_tokens, recorder.page_tokens),
        )
        paged = PagedSteps(model, cache, recorder)
        _check_and_record(model, paged, prompt_tokens=prompt_tokens)
    return paged


def _pages(tokens: int | None, page_tokens: int) -> int | None:
    return None if tokens is None else tokens // page_tokens


def _check_and_record(model: LlamaForCausalLM, paged: PagedSteps, *, prompt_tokens: int) -> None:
    check = StepCheck(model, paged.cache)
    wanted = layouts(slots=paged.cache.slots, prompt_tokens=prompt_tokens)
    for layout in (wanted[0], wanted[-1]):
        check.check(paged.plain, layout)
    if waits_for_positions(model.config):
        log.warning("no CUDA graphs: the model's rotary embedding depends on each step's positions")
    else:
        paged.record(wanted, lambda recording: check.check(recording.replay, recording.layout))


def waits_for_positions(config: LlamaConfig) -> bool:
    """Return whether a model's rotary embedding looks at positions on the host."""
    return (config.rope_parameters or {}).get("rope_type") in ROPE_BY_POSITION
