"""The compiled op computes what torch computes; a machine that cannot compile it uses torch."""

import logging
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from turnstream.workers.engines import attention, decode_op
from turnstream.workers.engines.attention import NewTokens, PackedStep
from turnstream.workers.engines.decode_op import DecodeOp, load_decode_op
from turnstream.workers.engines.fused_attention import fuse
from turnstream.workers.engines.slot_cache import SlotCache

CONTEXT, SLOTS = 50, 6
#: Decode tokens and the tokens of a prefill chunk: slot and position of each.
DECODING = [(0, 49), (2, 0), (3, 17), (5, 30)]
CHUNK = [(4, position) for position in range(5, 12)]


@pytest.fixture(scope="module")
def op(compiled_op: DecodeOp | None) -> DecodeOp:
    if compiled_op is None:
        pytest.skip("g++ is not installed")
    return compiled_op


class Case:
    """Random input for one call."""

    def __init__(self, dtype: torch.dtype, *, width: int, heads: int, kv_heads: int) -> None:
        generator = torch.Generator().manual_seed(width)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(dtype)

        self.width, self.heads, self.kv_heads = width, heads, kv_heads
        at = [*DECODING, *CHUNK]
        self.slots = torch.tensor([slot for slot, _ in at])
        self.positions = torch.tensor([position for _, position in at])
        self.qkv = random(len(at), heads + 2 * kv_heads, width)
        angles = self.positions[:, None] / 10_000 ** (torch.arange(width // 2) / (width // 2))
        self.cos = angles.cos().repeat(1, 2).to(dtype)
        self.sin = angles.sin().repeat(1, 2).to(dtype)
        self.keys = random(SLOTS, kv_heads, CONTEXT, width)
        self.values = random(SLOTS, kv_heads, CONTEXT, width)

    def run(self, op: DecodeOp, only: int | None = None) -> Tensor:
        """Call the op with all tokens, or with one decode token only."""
        tokens = slice(None) if only is None else slice(only, only + 1)
        return op(
            self.qkv[tokens],
            self.cos[tokens],
            self.sin[tokens],
            self.slots[tokens],
            self.positions[tokens],
            self.keys,
            self.values,
            heads=self.heads,
            decode_tokens=len(DECODING) if only is None else 1,
            scaling=1 / math.sqrt(self.width),
        )


CASES = pytest.mark.parametrize(
    "shape",
    [
        {"width": 64, "heads": 4, "kv_heads": 4},
        {"width": 128, "heads": 8, "kv_heads": 2},
        {"width": 24, "heads": 6, "kv_heads": 3},
    ],
    ids=str,
)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


@CASES
@DTYPES
def test_the_op_computes_what_torch_computes(
    op: DecodeOp, dtype: torch.dtype, shape: dict[str, int]
) -> None:
    case = Case(dtype, **shape)
    keys, values = case.keys.double(), case.values.double()
    q, k, v = case.qkv.double().split([case.heads, case.kv_heads, case.kv_heads], dim=1)
    q, k = apply_rotary_pos_emb(q, k, case.cos.double(), case.sin.double())
    keys[case.slots, :, case.positions] = k
    values[case.slots, :, case.positions] = v
    expected = torch.stack(
        [
            torch.nn.functional.scaled_dot_product_attention(
                q[n, :, None],
                keys[slot, :, : position + 1],
                values[slot, :, : position + 1],
                enable_gqa=True,
            )[:, 0]
            for n, (slot, position) in enumerate(DECODING)
        ]
    )

    out = case.run(op)

    close = (
        {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    )
    torch.testing.assert_close(out[: len(DECODING)].double(), expected, **close)
    torch.testing.assert_close(case.keys.double(), keys, **close)
    torch.testing.assert_close(case.values.double(), values, rtol=0, atol=0)
    torch.testing.assert_close(case.qkv[:, : case.heads].double(), q, **close)


@CASES
@DTYPES
def test_a_token_gets_the_same_bits_alone(
    op: DecodeOp, dtype: torch.dtype, shape: dict[str, int]
) -> None:
    together = Case(dtype, **shape).run(op)
    for n in range(len(DECODING)):
        assert torch.equal(Case(dtype, **shape).run(op, only=n)[0], together[n])


@pytest.mark.parametrize("bias", [False, True])
def test_a_fused_model_computes_what_the_plain_one_computes(op: DecodeOp, bias: bool) -> None:
    config = LlamaConfig(
        vocab_size=100,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=64,
        attention_bias=bias,
    )
    torch.manual_seed(4)
    model = LlamaForCausalLM(config).eval()
    attention.register(model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def hidden() -> Tensor:
        cache = SlotCache(config, slots=3, context=64, dtype=torch.float32, device=model.device)
        with torch.inference_mode():
            for new_tokens in (
                [NewTokens(slot=0, start=0, ids=range(20)), NewTokens(slot=1, start=0, ids=[7])],
                [NewTokens(slot=0, start=20, ids=[3]), NewTokens(slot=1, start=1, ids=range(9))],
            ):
                out = PackedStep(cache, new_tokens, model.device).hidden(model)
        return out

    plain = hidden()
    assert fuse(model, op)
    torch.testing.assert_close(hidden(), plain, rtol=1e-3, atol=1e-4)


def test_a_model_in_half_precision_is_not_fused(op: DecodeOp, tiny_llama_folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float16)
    before = model.model.layers[0].self_attn
    assert not fuse(model, op)
    assert model.model.layers[0].self_attn is before


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_there_is_no_op_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert load_decode_op(tmp_path / "cache") is None
    assert "torch is used, which is slower: g++ is not installed" in caplog.text


def test_a_compiled_op_is_loaded_without_a_compiler(
    op: DecodeOp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_decode_op(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setenv("PATH", "/nonexistent")
    assert load_decode_op(tmp_path)
    # The op is compiled again for another source, torch or processor.
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert load_decode_op(tmp_path) is None


def test_a_compiler_that_fails_leaves_no_files(
    op: DecodeOp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.cpp"
    broken.write_text("int main( {")
    monkeypatch.setattr(decode_op, "SOURCE", broken)
    with caplog.at_level(logging.INFO):
        assert load_decode_op(tmp_path / "cache") is None
    assert "g++ failed: " in caplog.text
    assert "broken.cpp" in caplog.text
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_writable_cache_there_is_no_op(op: DecodeOp, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert load_decode_op(tmp_path / "file" / "cache") is None
