"""A slot on a CPU has memory for what was written to it, and not for a whole context."""

import mmap
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from turnstream.workers.engines.kv_cache import Copy
from turnstream.workers.engines.paged_cache import PagedCache
from turnstream.workers.engines.slot_cache import PAGE_TOKENS, SlotCache

#: 8 KiB a token.
CONFIG = LlamaConfig(num_hidden_layers=2, num_attention_heads=8, hidden_size=512)
CPU = torch.device("cpu")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_taken_as_a_slot_is_written_and_given_back() -> None:
    before = resident()
    # 16 GiB, if all of it were used.
    cache = SlotCache(CONFIG, slots=64, context=32768, dtype=torch.float32, device=CPU, pages=2048)
    assert resident() - before < 2**24
    tokens = 4096
    for block in (*cache.keys, *cache.values):
        block[5, :, :tokens] = 1
    taken = resident() - before
    # The process may have given something back meanwhile.
    assert tokens * 8192 * 0.8 < taken < tokens * 8192 * 1.5
    cache.shrink(5, 1024 // PAGE_TOKENS)
    assert resident() - before < taken / 2
    for block in (*cache.keys, *cache.values):
        assert block[5, :, :1024].eq(1).all()
        assert block[5, :, 1024:tokens].eq(0).all()
    cache.shrink(5, 0)
    assert resident() - before < 2**24


def test_a_page_of_a_prompt_is_read_through_the_table() -> None:
    caches = (
        SlotCache(CONFIG, slots=3, context=60, dtype=torch.float32, device=CPU),
        PagedCache(CONFIG, slots=3, context=60, dtype=torch.float32, device=CPU, page_tokens=16),
    )
    slots = torch.tensor([0] * 50 + [2] * 20)
    positions = torch.tensor([*range(50), *range(20)])
    values = torch.randn(70, 8, 64)
    for cache in caches:
        for slot, pages in enumerate(([7, 2, 5, 0], [1], [11, 3])):
            cache.place(slot, pages)
        cache.write(1, slots, positions, values, -values)
    plain, paged = caches
    for at in (slice(0, 1), slice(2, 3)):
        for found, expected in zip(paged.read(1, at, 20), plain.read(1, at, 20), strict=True):
            assert torch.equal(found, expected)
    assert torch.equal(paged.read(1, slice(0, 1), 50)[0][0], values[:50].transpose(0, 1))
    paged.copy(Copy(5, 1, 10))
    assert torch.equal(paged.read(1, slice(1, 2), 10)[0][0], values[32:42].transpose(0, 1))
    paged.clear(0, [2])
    found = paged.read(1, slice(0, 1), 50)[0][0]
    assert found[:, 16:32].eq(0).all()
    assert torch.equal(found[:, 32:], values[32:50].transpose(0, 1))
