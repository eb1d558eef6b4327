"""Find and load a Llama checkpoint in Hugging Face layout.

A folder is read without any network. A hub name is first downloaded into the hub's local cache and
then read like any folder, so that both have the same errors.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING
from transformers.utils import logging as transformers_logging
from transformers.utils.import_utils import is_accelerate_available

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.gpu import fastest_dtype, require_supported

#: Weights up to this size stay in float32 on a CPU: one pass over them takes a millisecond or so.
SMALL_BYTES = 50 * 2**20
#: The model that comes with the project.
DEMO_FOLDER = Path(__file__).parents[1] / "demo"
#: A repository on the hub: one name, or an owner and a name.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model on this machine."""

    #: The model's name for clients.
    name: str
    folder: Path

    @property
    def weight_bytes(self) -> int:
        """Size of the weights as they are stored."""
        return sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))


def find(model: str) -> Checkpoint:
    """Return the checkpoint of a model setting: ``demo``, a folder's path, or a hub name.

    Raises:
        CheckpointError: there is no such folder or hub model, or it is not a causal Llama.
    """
    path = Path(model).expanduser()
    if model == "demo":
        found = Checkpoint(name="demo", folder=DEMO_FOLDER)
    elif model and path.is_dir():
        found = Checkpoint(name=path.resolve().name, folder=path.resolve())
    elif path.is_absolute() or model.startswith((".", "~")) or not _HUB_NAME.fullmatch(model):
        raise CheckpointError(f"model {model}: no such folder")
    else:
        found = Checkpoint(name=model, folder=_download(model))
    _check(found)
    return found


def pick_device(device: str) -> torch.device:
    """Return the device of a setting: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        CheckpointError: it is none of these, or torch sees no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise CheckpointError(f"device {device}: must be auto, cpu, cuda or cuda:N")
    picked = torch.device(device)
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise CheckpointError(f"device {device}: torch sees {torch.cuda.device_count()} GPUs")
    if picked.type == "cuda":
        require_supported(picked)
    return picked


def pick_dtype(dtype: str, device: torch.device, *, weight_bytes: int) -> torch.dtype:
    """Return the dtype of a setting; ``auto`` is the fastest that the device supports.

    A small model stays in float32 on a CPU: it is fast anyway, and only in float32 does a turn
    that continues at another worker get exactly the same tokens.

    Args:
        weight_bytes: size of the model's weights, as they are stored.

    Raises:
        CheckpointError: it is not auto, float32, bfloat16 or float16.
    """
    if dtype == "auto":
        if device.type == "cuda":
            return fastest_dtype(device)
        able = torch.cpu.get_capabilities()
        fast = able.get("avx512_bf16") or able.get("amx_bf16")
        small = weight_bytes <= SMALL_BYTES
        return torch.bfloat16 if fast and not small else torch.float32
    if dtype not in _DTYPES:
        raise CheckpointError(f"dtype {dtype}: must be auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def name_of(dtype: torch.dtype) -> str:
    """Return the name of a dtype in settings."""
    return str(dtype).removeprefix("torch.")


def read_config(checkpoint: Checkpoint) -> LlamaConfig:
    """Read a checkpoint's ``config.json``.

    Raises:
        CheckpointError: transformers cannot read it.
    """
    try:
        with quiet():
            config: LlamaConfig = LlamaConfig.from_pretrained(checkpoint.folder)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(
            f"model {checkpoint.name}: cannot read its config.json: {first_line(exc)}"
        ) from exc
    method = (getattr(config, "quantization_config", None) or {}).get("quant_method")
    if method is not None and method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        # transformers would read its weights as they are stored, without their scales.
        raise CheckpointError(
            f"model {checkpoint.name}: quantised by {method}, which transformers does not support"
        )
    return config


def load_model(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> LlamaForCausalLM:
    """Load a checkpoint's weights, in evaluation mode.

    Raises:
        CheckpointError: the weights are missing, incomplete or unreadable, or there are others.
    """
    on_gpu = device.type == "cuda"
    try:
        with quiet():
            loaded: Any = LlamaForCausalLM.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                # With accelerate, weights go to a GPU one by one; else they are all read first.
                device_map={"": device} if on_gpu and is_accelerate_available() else None,
            )
            model, info = loaded
            model = model.to(device).eval()
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(
            f"model {checkpoint.name}: cannot read the weights: {first_line(exc)}"
        ) from exc
    if missing := sorted(info["missing_keys"]):
        # transformers initialises these at random.
        raise CheckpointError(
            f"model {checkpoint.name}: {len(missing)} weights are missing, such as {missing[0]}"
        )
    # Computed from the config; old checkpoints have them too.
    known = re.compile(r"rotary_emb\.inv_freq$")
    if unknown := sorted(key for key in info["unexpected_keys"] if not known.search(key)):
        # transformers drops them, and without a scale or a bias the rest is wrong.
        raise CheckpointError(
            f"model {checkpoint.name}: {len(unknown)} weights are not known to transformers,"
            f" such as {unknown[0]}; is it quantised in a way that it does not support?"
        )
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDefaults:
    """The checkpoint's sampling defaults, for turns that do not set their own."""

    #: Each of them ends an answer.
    eos_ids: frozenset[int]
    #: 0 for a model that is meant for greedy decoding.
    temperature: float
    top_p: float


def read_generation_defaults(folder: Path) -> GenerationDefaults:
    """Read ``config.json`` and ``generation_config.json``; what neither sets is 1, or no id."""
    model, generation = (
        _read_json(folder / "config.json"),
        _read_json(folder / "generation_config.json"),
    )
    greedy = generation.get("do_sample") is False
    return GenerationDefaults(
        eos_ids=_ids(model.get("eos_token_id")) | _ids(generation.get("eos_token_id")),
        temperature=0.0 if greedy else generation.get("temperature") or 1.0,
        top_p=generation.get("top_p") or 1.0,
    )


def _read_json(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _ids(value: int | list[int] | None) -> frozenset[int]:
    match value:
        case None:
            return frozenset()
        case int():
            return frozenset({value})
        case _:
            return frozenset(value)


def _check(checkpoint: Checkpoint) -> None:
    """Raise a one-line error for what transformers would report late and at length."""
    config = checkpoint.folder / "config.json"
    if not config.is_file():
        raise CheckpointError(f"model {checkpoint.name}: no config.json in {checkpoint.folder}")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        kind, made_for = settings.get("model_type"), settings.get("architectures") or []
    except (ValueError, AttributeError) as exc:
        raise CheckpointError(f"model {checkpoint.name}: {config} cannot be read") from exc
    if kind != "llama" or (made_for and "LlamaForCausalLM" not in made_for):
        what = ", ".join(made_for) or kind
        raise CheckpointError(f"model {checkpoint.name}: not a causal Llama but {what}")
    if not any(any(checkpoint.folder.glob(names)) for names in ("*.safetensors", "*.bin")):
        raise CheckpointError(f"model {checkpoint.name}: no weights in {checkpoint.folder}")


def _download(name: str) -> Path:
    wanted = ["*.json", "*.model", "*.jinja", "*.safetensors"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*wanted, "*.bin"]))
    except LocalEntryNotFoundError as exc:
        raise CheckpointError(
            f"model {name}: no folder of that name, not downloaded before, and the hub cannot be"
            " reached"
        ) from exc
    except (HfHubHTTPError, HFValidationError, OSError) as exc:
        raise CheckpointError(
            f"model {name}: no folder of that name, the hub answered: {first_line(exc)}"
        ) from exc
    return folder


def first_line(exc: Exception) -> str:
    """Return the first line of an exception's text, or its type."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars out of the worker's log."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
