"""Merge a LoRA adapter into the model that it was trained for, when that is loaded.

A merged model is a model like any other: it costs nothing per token, and a worker serves one. The
folder is as PEFT writes it. What would be wrong when only added to the weights is refused by name.
"""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.lora_config import read_config
from turnstream.workers.engines.quiet_loading import first_line

log = logging.getLogger(__name__)

WEIGHTS = "adapter_model.safetensors"
_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.(?:default\.)?weight")


def merge(model: PreTrainedModel, folder: Path) -> None:
    """Add an adapter to the weights of a model.

    Raises:
        CheckpointError: its files cannot be read, or do not fit the model.
    """
    config = read_config(folder)
    file = folder / WEIGHTS
    pairs = _read_pairs(file)
    if "lm_head" in pairs and getattr(model.config, "tie_word_embeddings", False):
        raise CheckpointError(
            f"{file}: cannot merge into lm_head, which this model embeds with too"
        )
    with torch.inference_mode():
        for name, pair in pairs.items():
            try:
                _add(model.get_parameter(f"{name}.weight"), pair, _alpha(name, config), config)
            except (AttributeError, KeyError, RuntimeError) as exc:
                why = first_line(exc)
                raise CheckpointError(f"{file}: {name} does not fit the model: {why}") from exc


def check_fits(folder: Path, config: PreTrainedConfig) -> None:
    """Check the layers of an adapter, for an engine that adds it as it is: vLLM takes any sizes.

    Raises:
        CheckpointError: its files cannot be read, or do not fit a model of this config.
    """
    read_config(folder)
    file = folder / WEIGHTS
    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    except ValueError:
        log.warning("%s is used unchecked: only the engine knows this model's layers", file)
        return
    for name, pair in _read_pairs(file).items():
        try:
            outputs, inputs = model.get_parameter(f"{name}.weight").shape
            down, up = pair["A"].shape, pair["B"].shape
        except (AttributeError, KeyError, ValueError) as exc:
            why = first_line(exc)
            raise CheckpointError(f"{file}: {name} does not fit the model: {why}") from exc
        if (up[0], down[1]) != (outputs, inputs) or up[1] != down[0]:
            raise CheckpointError(
                f"{file}: {name} does not fit the model: it is for {down[1]} × {up[0]}, and the"
                f" model has {inputs} × {outputs}"
            )


def _read_pairs(file: Path) -> dict[str, dict[str, Tensor]]:
    """Read the two matrices, A and B, of each layer of an adapter."""
    try:
        weights = load_file(file)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"{file}: cannot be read: {first_line(exc)}") from exc
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, weight in weights.items():
        if (found := _KEY.fullmatch(key)) is None:
            raise CheckpointError(f"{file}: {key} is no part of a LoRA of linear layers")
        pairs.setdefault(found[1], {})[found[2]] = weight
    return pairs


def _add(
    weight: Tensor, pair: Mapping[str, Tensor], alpha: float, config: Mapping[str, Any]
) -> None:
    down, up = (pair[name].to(weight.device, torch.float32) for name in "AB")
    rank = down.shape[0]
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    weight.copy_(weight.float() + up @ down * scale)


def _alpha(name: str, config: Mapping[str, Any]) -> float:
    """Return a layer's alpha: that of the first pattern which its name ends with, or the common."""
    for pattern, alpha in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", name):
            return float(alpha)
    return float(config["lora_alpha"])
