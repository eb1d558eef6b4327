"""Find and load a Llama checkpoint in Hugging Face layout.

A folder is read without any network. A hub name is first brought into the hub's local cache and
then read like any folder, so that both fail, and succeed, in the same ways.
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
from transformers.utils import logging as transformers_logging

from turnstream.workers.engine import CheckpointError

#: The model that comes with the project.
#: Weights of this size are read through in a millisecond or so, whatever their dtype.
SMALL_BYTES = 50 * 2**20
DEMO_FOLDER = Path(__file__).parents[1] / "demo"
#: What a repository may be called on the hub: one name, or an owner and a name.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model on this machine."""

    #: What clients call it.
    name: str
    folder: Path

    @property
    def weight_bytes(self) -> int:
        """Size of the weights as they are stored."""
        return sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))


def find(model: str) -> Checkpoint:
    """Turn a model setting into a folder: ``demo``, a folder's path, or a name on the hub.

    Raises:
        CheckpointError: nothing of that name is here or on the hub, or it is not a causal Llama.
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
    """Turn a device setting (``auto``, ``cpu``, ``cuda``, ``cuda:N``) into a device that is here.

    Raises:
        CheckpointError: it is none of these, or torch sees no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise CheckpointError(f"device {device}: must be auto, cpu, cuda or cuda:N")
    picked = torch.device(device)
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise CheckpointError(f"device {device}: torch sees {torch.cuda.device_count()} GPUs")
    return picked


def pick_dtype(dtype: str, device: torch.device, *, weight_bytes: int) -> torch.dtype:
    """Turn a dtype setting into a dtype; ``auto`` is the fast one where the device is made for it.

    A small model stays in float32 on a CPU: it is quick anyway, and only in float32 does a turn
    that moves to another worker go on exactly as it would have.

    Args:
        weight_bytes: size of the model's weights, as they are stored.

    Raises:
        CheckpointError: it is not auto, float32, bfloat16 or float16.
    """
    if dtype == "auto":
        if device.type == "cuda":
            return torch.bfloat16
        able = torch.cpu.get_capabilities()
        fast = able.get("avx512_bf16") or able.get("amx_bf16")
        small = weight_bytes <= SMALL_BYTES
        return torch.bfloat16 if fast and not small else torch.float32
    if dtype not in _DTYPES:
        raise CheckpointError(f"dtype {dtype}: must be auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def name_of(dtype: torch.dtype) -> str:
    """Return what a dtype is called in settings."""
    return str(dtype).removeprefix("torch.")


def read_config(checkpoint: Checkpoint) -> LlamaConfig:
    """Read what a checkpoint's model is built like.

    Raises:
        CheckpointError: it is not understood.
    """
    try:
        with quiet():
            config: LlamaConfig = LlamaConfig.from_pretrained(checkpoint.folder)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(
            f"model {checkpoint.name}: cannot read its config.json: {first_line(exc)}"
        ) from exc
    return config


def load_model(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> LlamaForCausalLM:
    """Read a checkpoint's weights, ready to answer.

    Raises:
        CheckpointError: the weights are missing, incomplete or not understood.
    """
    try:
        with quiet():
            loaded: Any = LlamaForCausalLM.from_pretrained(
                checkpoint.folder, dtype=dtype, local_files_only=True, output_loading_info=True
            )
            model, info = loaded
            model = model.to(device).eval()
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(
            f"model {checkpoint.name}: cannot read the weights: {first_line(exc)}"
        ) from exc
    if missing := sorted(info["missing_keys"]):
        # transformers has left these at random.
        raise CheckpointError(
            f"model {checkpoint.name}: {len(missing)} weights are missing, such as {missing[0]}"
        )
    return model


def _check(checkpoint: Checkpoint) -> None:
    """Refuse early, and in one line, what would fail late and at length."""
    config = checkpoint.folder / "config.json"
    if not config.is_file():
        raise CheckpointError(f"model {checkpoint.name}: no config.json in {checkpoint.folder}")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        kind, made_for = settings.get("model_type"), settings.get("architectures") or []
    except (ValueError, AttributeError) as exc:
        raise CheckpointError(f"model {checkpoint.name}: {config} is not understood") from exc
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
            f"model {name}: no folder of that name, and the hub says: {first_line(exc)}"
        ) from exc
    return folder


def first_line(exc: Exception) -> str:
    """Return what an exception says first, or else its name."""
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
