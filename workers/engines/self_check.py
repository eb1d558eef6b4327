"""Check the engine `slot` on this machine: is its attention right, are its answers, is it fast?

Each part is compared with something that computes the same in another way. What it finds is for
people: they may send it from machines that the project has never seen.
"""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from transformers import LlamaConfig

from turnstream.workers.engines.check_answers import compare, generate
from turnstream.workers.engines.check_report import Part, Report, Speed, Verdict
from turnstream.workers.engines.check_speed import answers, bandwidth, bytes_of_a_step
from turnstream.workers.engines.checkpoint import (
    find,
    read_config,
)
from turnstream.workers.engines.cuda_recorder import PAGE_TOKENS
from turnstream.workers.engines.device_choice import name_of, pick_device, pick_dtype
from turnstream.workers.engines.device_setup import (
    choose_threads,
    free_bytes,
    pick_decode_op,
    pick_recorder,
    prompt_tokens,
)
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.load import load_weights
from turnstream.workers.engines.paged_step import PagedAttention
from turnstream.workers.engines.recorded_steps import PagedSteps, Recorder
from turnstream.workers.engines.sizing import Size, fit
from turnstream.workers.engines.slot_attention_check import SlotAttention
from turnstream.workers.engines.slot_cache import PAGE_TOKENS as SLOT_PAGE_TOKENS
from turnstream.workers.engines.slot_engine import SlotEngine
from turnstream.workers.engines.step_check import TOLERANCE, attention_differences
from turnstream.workers.engines.steps import Steps
from turnstream.workers.engines.tokenizer import load_tokenizer

#: Turns that are answered together when speed is measured, as far as memory allows.
TURNS = (1, 16, 64)
_CONTEXT = 512
_NEW_TOKENS = 32
#: Tokens of the prompts; the second is longer than a page.
_PROMPTS = (12, PAGE_TOKENS + 40)
_TEXT = """The tide went out before dawn, and the boats lay on the sand until the sun was high.
Nobody hurried. A boy counted the ropes, a woman mended a net, and the dogs slept in the shade of
the wall. When the water came back it came without a sound, and all the boats rose together. """


def check_engine(
    *,
    model: str,
    device: str,
    dtype: str,
    cache: Path | None = None,
    compile_cache: Path | None,
    tell: Callable[[str], None],
) -> Report:
    """Load a model, compare and measure; `load_engine` has the same arguments.

    Args:
        tell: called with what is done now.

    Raises:
        CheckpointError: the model cannot be loaded, or the device has no room for it.
        TimeoutError: answers take too long.
    """
    checkpoint = find(model)
    where = pick_device(device)
    kind = pick_dtype(dtype, where, weight_bytes=checkpoint.weight_bytes)
    choose_threads(checkpoint)
    checkpoint = checkpoint.unpacked(kind, cache)
    config = read_config(checkpoint)
    tokenizer = load_tokenizer(
        checkpoint.tokenizer_folder, size=config.vocab_size, eos_ids=frozenset()
    )
    recorder = pick_recorder(where, kind)
    decode_op = pick_decode_op(where, kind, compile_cache)

    tell("comparing attention with float32")
    parts = [
        check_attention(
            recorder.attend if recorder else SlotAttention(decode_op), config, kind, where
        )
    ]
    read = bandwidth(where)

    tell(f"loading {checkpoint.name} and answering with transformers' generate")
    llama = load_weights(checkpoint, device=where, dtype=kind)
    longest = config.max_position_embeddings - _NEW_TOKENS
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    text = [*bos, *tokenizer.encode(_TEXT * 8)]
    expected = [generate(llama, text[: min(size, longest)], _NEW_TOKENS) for size in _PROMPTS]
    weights = bytes_of_a_step(llama)

    tell("answering with the engine")
    size = _size(config, kind, where, recorder)
    engine = SlotEngine(
        llama,
        slots=size.slots,
        context=size.context,
        kv_tokens=size.tokens,
        prompt_tokens=prompt_tokens(where),
        eos_ids=frozenset(),
        after_step=lambda: None,
        decode_op=decode_op,
        recorder=recorder,
    )
    try:
        parts += check_recordings(engine.steps) if recorder else []
        found, _ = answers(engine, [each.prompt for each in expected], _NEW_TOKENS)
        parts.append(compare(found, expected, exact=kind is torch.float32))
        speeds = []
        for turns in (turns for turns in TURNS if turns <= engine.capacity):
            tell(f"measuring {turns} turns together")
            _, rate = answers(engine, [expected[0].prompt] * turns, _NEW_TOKENS)
            tokens = len(expected[0].prompt) + _NEW_TOKENS // 2
            step = weights + turns * tokens * bytes_per_token(config, kind)
            speeds.append(
                Speed(turns=turns, tokens_per_second=rate, memory_limit=turns * read / step)
            )
    finally:
        engine.stop(0)
    return Report(
        machine=_machine(where),
        model={
            "model": checkpoint.name,
            "dtype": name_of(kind),
            "weights": f"{weights / 1e9:.3f} GB in each step",
        },
        parts=parts,
        memory_bandwidth=read,
        speeds=speeds,
    )


def check_attention(
    attend: PagedAttention, config: LlamaConfig, dtype: torch.dtype, device: torch.device
) -> Part:
    """Compare attention with float32, with as many key heads as query heads and with half of them.

    Its other dimensions are those of a model.
    """
    name, heads = "attention", config.num_attention_heads
    worst, where, cases = -1.0, "", 0
    try:
        with torch.inference_mode():
            for shared in (1, 2) if heads % 2 == 0 else (1,):
                shape = LlamaConfig(
                    num_attention_heads=heads,
                    num_key_value_heads=heads // shared,
                    head_dim=config.head_dim or config.hidden_size // heads,
                )
                for case, off in attention_differences(
                    attend,
                    shape,
                    page_tokens=PAGE_TOKENS,
                    dtype=dtype,
                    device=device,
                    turns=(*TURNS, 2) if device.type == "cuda" else (1, 2, 5),
                ):
                    cases += 1
                    if not off <= worst:  # NaN is worse than any number
                        worst, where = off, f"{case}, {heads} heads, {heads // shared} of keys"
    except Exception as exc:  # drivers and kernels may fail in any way
        return Part(name=name, verdict=Verdict.WRONG, found=f"it fails: {exc}")
    verdict = Verdict.OK if worst < TOLERANCE else Verdict.WRONG
    return Part(name=name, verdict=verdict, found=f"off by {worst:.5f} of {cases} cases: {where}")


def check_recordings(steps: Steps) -> list[Part]:
    """Tell which steps of an engine on a GPU are recorded, and why others are not."""
    name = "CUDA graphs"
    if not isinstance(steps, PagedSteps):
        found = "none: attention over pages is not used here; a worker's log says why"
        return [Part(name=name, verdict=Verdict.SLOW, found=found)]
    kept = ", ".join(f"{one.turns} × {one.tokens}" for one in steps.recorded) or "none"
    parts = [
        Part(
            name=name,
            verdict=Verdict.OK if steps.recorded else Verdict.SLOW,
            found=f"for steps of turns × tokens: {kept}",
        )
    ]
    for layout, why in steps.rejected.items():
        found = f"not for {layout.turns} × {layout.tokens}: {why}"
        parts.append(Part(name=name, verdict=Verdict.SLOW, found=found))
    return parts


def _size(
    config: LlamaConfig, dtype: torch.dtype, device: torch.device, recorder: Recorder | None
) -> Size:
    """Return room for as many turns as are measured, or as fit with a whole context."""
    size = fit(
        config,
        dtype,
        slots=max(TURNS),
        context=min(_CONTEXT, config.max_position_embeddings),
        free=free_bytes(device),
        page_tokens=recorder.page_tokens if recorder else SLOT_PAGE_TOKENS,
        # Turns that wait for memory would be measured as slow ones.
        whole_slots=True,
    )
    return size._replace(slots=max(turns for turns in TURNS if turns <= size.slots))


def _machine(device: torch.device) -> dict[str, str]:
    machine = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": str(device),
    }
    if device.type == "cpu":
        return machine | {"threads": str(torch.get_num_threads())}
    major, minor = torch.cuda.get_device_capability(device)
    memory = torch.cuda.mem_get_info(device)[1] / 2**30
    name = torch.cuda.get_device_name(device)
    return machine | {
        "gpu": f"{name}, capability {major}.{minor}, {memory:.1f} GiB",
        "cuda": str(torch.version.cuda),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
