"""The compiled op says what torch says, and a machine that cannot compile it does without."""

import logging
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from turnstream.workers.engines import attention, decode_op
from turnstream.workers.engines.attention import PackedStep, Part
from turnstream.workers.engines.decode_op import DecodeOp, load_decode_op
from turnstream.workers.engines.fused_attention import fuse
from turnstream.workers.engines.kv_cache import KvCache

CONTEXT, SLOTS = 50, 6
#: Tokens that come alone in their slots, and a piece of a prompt: slot and place of each.
SINGLES = [(0, 49), (2, 0), (3, 17), (5, 30)]
PIECE = [(4, place) for place in range(5, 12)]


@pytest.fixture(scope="module")
def op(compiled_op: DecodeOp | None) -> DecodeOp:
    if compiled_op is None:
        pytest.skip("there is no g++ here to compile the decode attention with")
    return compiled_op


class Case:
    """Random numbers for one call."""

    def __init__(self, dtype: torch.dtype, *, width: int, heads: int, kv_heads: int) -> None:
        generator = torch.Generator().manual_seed(width)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(dtype)

        self.width, self.heads, self.kv_heads = width, heads, kv_heads
        at = [*SINGLES, *PIECE]
        self.slots = torch.tensor([slot for slot, _ in at])
        self.places = torch.tensor([place for _, place in at])
        self.qkv = random(len(at), heads + 2 * kv_heads, width)
        angles = self.places[:, None] / 10_000 ** (torch.arange(width // 2) / (width // 2))
        self.cos = angles.cos().repeat(1, 2).to(dtype)
        self.sin = angles.sin().repeat(1, 2).to(dtype)
        self.keys = random(SLOTS, kv_heads, CONTEXT, width)
        self.values = random(SLOTS, kv_heads, CONTEXT, width)

    def run(self, op: DecodeOp, only: int | None = None) -> Tensor:
        """Call the op with all tokens, or with one of the singles only."""
        part = slice(None) if only is None else slice(only, only + 1)
        return op(
            self.qkv[part],
            self.cos[part],
            self.sin[part],
            self.slots[part],
            self.places[part],
            self.keys,
            self.values,
            heads=self.heads,
            singles=len(SINGLES) if only is None else 1,
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
def test_the_op_says_what_torch_says(
    op: DecodeOp, dtype: torch.dtype, shape: dict[str, int]
) -> None:
    case = Case(dtype, **shape)
    keys, values = case.keys.double(), case.values.double()
    q, k, v = case.qkv.double().split([case.heads, case.kv_heads, case.kv_heads], dim=1)
    q, k = apply_rotary_pos_emb(q, k, case.cos.double(), case.sin.double())
    keys[case.slots, :, case.places] = k
    values[case.slots, :, case.places] = v
    expected = torch.stack(
        [
            torch.nn.functional.scaled_dot_product_attention(
                q[n, :, None],
                keys[slot, :, : place + 1],
                values[slot, :, : place + 1],
                enable_gqa=True,
            )[:, 0]
            for n, (slot, place) in enumerate(SINGLES)
        ]
    )

    out = case.run(op)

    close = (
        {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    )
    torch.testing.assert_close(out[: len(SINGLES)].double(), expected, **close)
    torch.testing.assert_close(case.keys.double(), keys, **close)
    torch.testing.assert_close(case.values.double(), values, rtol=0, atol=0)
    torch.testing.assert_close(case.qkv[:, : case.heads].double(), q, **close)


@CASES
@DTYPES
def test_a_token_gets_the_same_bits_alone(
    op: DecodeOp, dtype: torch.dtype, shape: dict[str, int]
) -> None:
    together = Case(dtype, **shape).run(op)
    for n in range(len(SINGLES)):
        assert torch.equal(Case(dtype, **shape).run(op, only=n)[0], together[n])


@pytest.mark.parametrize("bias", [False, True])
def test_a_fused_model_says_what_the_plain_one_says(op: DecodeOp, bias: bool) -> None:
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
    attention.register()
    torch.manual_seed(4)
    model = LlamaForCausalLM(config).eval()
    model.config._attn_implementation = attention.ATTENTION
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def hidden() -> Tensor:
        slots = KvCache(config, slots=3, context=64, dtype=torch.float32, device=model.device)
        with torch.inference_mode():
            for parts in (
                [Part(row=0, start=0, ids=range(20)), Part(row=1, start=0, ids=[7])],
                [Part(row=0, start=20, ids=[3]), Part(row=1, start=1, ids=range(9))],
            ):
                out = PackedStep(slots, parts, model.device).hidden(model)
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
    assert "left to torch, which is slower: there is no g++" in caplog.text


def test_what_was_compiled_once_needs_no_compiler_again(
    op: DecodeOp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_decode_op(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setenv("PATH", "/nonexistent")
    assert load_decode_op(tmp_path)
    # Another source, torch or processor is another op.
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert load_decode_op(tmp_path) is None


def test_a_compiler_that_fails_leaves_nothing_behind(
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


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(op: DecodeOp, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert load_decode_op(tmp_path / "file" / "cache") is None
