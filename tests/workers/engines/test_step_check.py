"""Wrong attention is found at start, whatever the model, and then slots have no pages."""

import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.workers.plain_recorder import PlainRecorder, paged_attention
from turnstream.workers.engines import attention, cuda_recorder, steps
from turnstream.workers.engines.attention import PrefillChunk, attend_chunk
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.paged_cache import PagedCache
from turnstream.workers.engines.paged_step import PagedAttention
from turnstream.workers.engines.slot_cache import SlotCache
from turnstream.workers.engines.step_check import (
    TOLERANCE,
    attention_differences,
    check_attention,
    row_difference,
)
from turnstream.workers.engines.steps import PlainSteps, start_steps

CPU = torch.device("cpu")
#: Several heads share a key head, and each head has its own.
SHARED = LlamaConfig(hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
OWN = LlamaConfig(hidden_size=64, num_attention_heads=4, num_key_value_heads=4)


def first_page_only(queries: Tensor, keys: Tensor, *rest: Tensor, **given: Tensor) -> Tensor:
    least = given["lengths"].clamp(max=max(keys.shape[1], given["longest"]))
    return paged_attention(queries, keys, *rest, **given | {"lengths": least})  # type: ignore[arg-type]


def half_the_scale(*given: Tensor, **others: Tensor) -> Tensor:
    return paged_attention(*given, **others | {"scaling": others["scaling"] / 2})  # type: ignore[arg-type]


def mixed_up_turns(*given: Tensor, **others: Tensor) -> Tensor:
    return paged_attention(*given, **others | {"table": others["table"].flip(0)})  # type: ignore[arg-type]


def over_the_first_turn(*given: Tensor, **others: Tensor) -> Tensor:
    """What torch 2.13 does when it splits slots without shared heads."""
    out = paged_attention(*given, **others)  # type: ignore[arg-type]
    turns, size = len(others["lengths"]), int(others["longest"])
    if turns > 1:
        out[:size] = out[-size:].clone()
    return out


def unscaled_fp8(queries: Tensor, keys: Tensor, values: Tensor, **others: Tensor) -> Tensor:
    scale = 448 / values.abs().max()
    unscaled = (values * scale).to(torch.float8_e4m3fn).to(values.dtype)
    return paged_attention(queries, keys, unscaled, **others)  # type: ignore[arg-type]


def sees_what_comes(*given: Tensor, **others: Tensor) -> Tensor:
    """The queries of a piece of a prompt attend to those after them."""
    queries, keys, values = given
    size = int(others["longest"])
    out = torch.empty_like(queries)
    for n in range(size):
        out[n::size] = paged_attention(
            queries[n::size].contiguous(),
            keys,
            values,
            **others
            | {"longest": 1, "starts": torch.arange(len(queries) // size + 1, dtype=torch.int32)},
        )
    return out


WRONG: list[PagedAttention] = [
    first_page_only,  # type: ignore[list-item]
    half_the_scale,  # type: ignore[list-item]
    mixed_up_turns,  # type: ignore[list-item]
    over_the_first_turn,  # type: ignore[list-item]
    unscaled_fp8,  # type: ignore[list-item]
    sees_what_comes,  # type: ignore[list-item]
]


def check(attend: PagedAttention, config: LlamaConfig, page_tokens: int = 256) -> None:
    check_attention(
        attention_differences(
            attend,
            config,
            page_tokens=page_tokens,
            dtype=torch.float32,
            device=CPU,
            turns=(1, 2, 5),
        )
    )


@pytest.mark.parametrize("config", [SHARED, OWN], ids=["shared heads", "own heads"])
def test_right_attention_passes(config: LlamaConfig) -> None:
    check(paged_attention, config)
    check(paged_attention, config, page_tokens=16)


@pytest.mark.parametrize("attend", WRONG)
def test_wrong_attention_is_found(attend: PagedAttention) -> None:
    with pytest.raises(ValueError, match=r"^attention is off by \d+\.\d\d for "):
        check(attend, SHARED)


def test_one_wrong_row_among_many_is_found() -> None:
    expected = torch.randn(200, 50, generator=torch.Generator().manual_seed(1))
    found = expected.clone()
    found[150] += 0.5
    assert row_difference(found, expected) > TOLERANCE > row_difference(expected + 0.01, expected)


@pytest.fixture
def model(tiny_llama_folder: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    attention.register(model)
    return model


@pytest.mark.parametrize("attend", WRONG)
def test_an_engine_has_plain_slots_if_attention_is_wrong(
    model: LlamaForCausalLM, attend: PagedAttention, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(PlainRecorder):
        @property
        def attend(self) -> PagedAttention:
            return attend

    with caplog.at_level(logging.WARNING):
        started = start_steps(model, Wrong(), slots=3, context=100, prompt_tokens=32)
    assert isinstance(started, PlainSteps)
    assert "slots have no pages" in caplog.text
    cache = started.cache
    assert isinstance(cache, SlotCache)
    # Each head's tokens are contiguous again: no step has to copy them.
    assert all(block.is_contiguous() for block in (*cache.keys, *cache.values))


def test_a_cache_that_is_not_used_is_freed_before_the_next_is_allocated(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[KvCache]] = []

    def watched(kind: type[PagedCache] | type[SlotCache]) -> Callable[..., KvCache]:
        def allocate(*given: Any, **others: Any) -> KvCache:
            assert all(cache() is None for cache in alive)
            made = kind(*given, **others)
            alive.append(weakref.ref(made))
            return made

        return allocate

    def differs(*_: object) -> None:
        raise ValueError("logits are off by 1.00")

    monkeypatch.setattr(steps, "PagedCache", watched(PagedCache))
    monkeypatch.setattr(steps, "SlotCache", watched(SlotCache))
    monkeypatch.setattr(steps.StepCheck, "check", differs)
    assert isinstance(
        start_steps(model, PlainRecorder(), slots=3, context=100, prompt_tokens=32), PlainSteps
    )
    assert len(alive) == 2


def faulty_varlen(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    starts: Tensor,
    room: Tensor,
    longest: int,
    most: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
    seqused_k: Tensor,
    block_table: Tensor,
    num_splits: int | None,
) -> Tensor:
    """Return what torch 2.13's `varlen_attn` does, its fault included (pytorch issue 194167)."""
    assert window_size == ((-1, -1) if longest == 1 else (-1, 0))
    assert enable_gqa is (queries.shape[1] != keys.shape[2])
    assert room.tolist() == [n * most for n in range(len(starts))]
    out = paged_attention(
        queries,
        keys,
        values,
        starts=starts,
        longest=longest,
        table=block_table,
        lengths=seqused_k,
        room=room,
        scaling=scale,
    )
    batched = enable_gqa and longest == 1
    if num_splits is None and not batched and len(seqused_k) > 1:
        out[: int(starts[1])] = out[int(starts[-2]) : int(starts[-1])].clone()
    return out


@pytest.mark.parametrize("config", [SHARED, OWN], ids=["shared heads", "own heads"])
def test_flash_attention_avoids_the_split_that_overwrites_turns(
    config: LlamaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_recorder, "varlen_attn", faulty_varlen)
    check(cuda_recorder.flash_attention, config)


def test_a_gpu_gets_no_shared_heads_with_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its kernels for masks have no shared heads, and torch would keep all scores in float32.
    asked: list[tuple[int, int, bool]] = []

    def attend(query: Tensor, keys: Tensor, _: Tensor, **others: object) -> Tensor:
        asked.append((query.shape[1], keys.shape[1], bool(others["enable_gqa"])))
        return query

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attend)
    meta = torch.device("meta")
    cache = SlotCache(SHARED, slots=1, context=64, dtype=torch.float16, device=meta)
    visible = torch.ones(8, 30, dtype=torch.bool, device=meta)
    chunk = PrefillChunk(tokens=slice(0, 8), slots=slice(0, 1), length=30, visible=visible)
    query = torch.empty(8, 4, 16, dtype=torch.float16, device=meta)
    attend_chunk(chunk, query, *cache.read(0, chunk.slots, chunk.length), 1.0)
    assert asked == [(4, 4, False)]
