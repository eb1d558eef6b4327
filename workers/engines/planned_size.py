"""What a model takes, from its config alone: nothing is downloaded and no weight is made.

The model is built on torch's meta device, so that every family is counted by transformers' own
code; only what quantised layers take is computed here.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.families import window
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.quantised_linear import GROUP, Quantise
from turnstream.workers.engines.sizing import GPU_SLOTS, Size, fit

#: Bits that a weight of a quantised checkpoint takes with its scales, by its method, unless the
#: config says otherwise.
_BITS = {"awq": 4.5, "gptq": 4.5, "bitsandbytes": 4.5, "fp8": 8, "compressed-tensors": 8}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class ModelSize(NamedTuple):
    """What one copy of a model takes."""

    parameters: int
    weight_bytes: int
    #: Keys and values of one token in all layers.
    token_bytes: int
    #: Tokens of one turn, at most.
    context: int


def read_settings(path: Path) -> dict[str, Any]:
    """Read a model's `config.json`, given as the file or its folder.

    Raises:
        CheckpointError: there is none, or it can't be read.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise CheckpointError(f"model {path}: {file} can't be read as a config: {exc}") from exc
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise CheckpointError(f"model {path}: {file} has no model_type")
    return settings


def model_size(
    settings: dict[str, Any], *, dtype: str, quantize: Quantise = Quantise.NONE
) -> ModelSize:
    """Return what a model takes.

    Args:
        settings: its `config.json`.
        dtype: ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        CheckpointError: transformers knows no such model.
    """
    config, torch_dtype = _config(settings), _DTYPES[dtype]
    try:
        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch_dtype)
    except Exception as exc:  # many classes, many errors
        raise CheckpointError(f"transformers can't build this model: {exc}") from exc
    quantised = settings.get("quantization_config") or {}
    rounded = _linear(model) if quantised or quantize is not Quantise.NONE else []
    shrunk = sum(
        layer.weight.nbytes - _rounded_bytes(layer, quantize, quantised) for layer in rounded
    )
    return ModelSize(
        parameters=sum(each.numel() for each in model.parameters()),
        weight_bytes=int(sum(each.nbytes for each in model.parameters()) - shrunk),
        token_bytes=bytes_per_token(config, torch_dtype),
        context=min(config.max_position_embeddings, window(config) or 2**31),
    )


def planned_slots(
    settings: dict[str, Any],
    *,
    dtype: str,
    free: int,
    slots: int | None,
    context: int | None,
    most_slots: int = GPU_SLOTS,
) -> Size:
    """Return what the engine would have room for, with so many bytes free beside the weights.

    Raises:
        CheckpointError: the context does not fit.
    """
    config = _config(settings)
    return fit(
        config,
        _DTYPES[dtype],
        slots=slots,
        context=context,
        free=free,
        most_slots=most_slots,
        reach=window(config),
    )


def _config(settings: dict[str, Any]) -> Any:
    plain = {name: value for name, value in settings.items() if name != "quantization_config"}
    try:
        return AutoConfig.for_model(**plain)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"transformers can't read this config: {exc}") from exc


def _linear(model: nn.Module) -> list[nn.Linear]:
    return [
        part
        for name, part in model.named_modules()
        if type(part) is nn.Linear and name != "lm_head"
    ]


def _rounded_bytes(layer: nn.Linear, to: Quantise, checkpoint: dict[str, Any]) -> float:
    """Return what the weight of a layer takes when it is quantised, scales included."""
    weights, scale_bytes = layer.weight.numel(), 2
    if to is Quantise.INT8:
        return weights + layer.out_features * scale_bytes
    if to is Quantise.INT4:
        return weights / 2 + weights / GROUP * 2 * scale_bytes
    bits = checkpoint.get("bits") or _BITS.get(str(checkpoint.get("quant_method")), 8)
    if checkpoint.get("bits") and (group := checkpoint.get("group_size") or 0) > 0:
        # A scale and a packed zero for each group.
        bits += (16 + checkpoint["bits"]) / group
    return float(weights * bits / 8)
