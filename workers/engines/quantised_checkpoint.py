"""Which quantised checkpoints can be loaded, and what each needs.

transformers reads them, with a library for each method. What it says when one is missing comes
late, after minutes of reading, and not always in one line.
"""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from transformers import PreTrainedModel

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.quiet_loading import first_line

#: The packages that transformers needs, by `quant_method`.
NEEDED = {
    "bitsandbytes": ("accelerate", "bitsandbytes"),
    "compressed-tensors": ("accelerate", "compressed_tensors"),
    "fp8": ("accelerate",),
    "gptq": ("accelerate", "optimum", "gptqmodel"),
    "awq": ("accelerate", "gptqmodel"),
}


def quant_method(config: Mapping[str, Any]) -> str | None:
    """Return how a checkpoint was quantised, by its ``config.json``; None if it was not."""
    quantised = config.get("quantization_config")
    if quantised is None:
        return None
    method = quantised.get("quant_method")
    # Older files of bitsandbytes do not say it.
    if method is None and (quantised.get("load_in_4bit") or quantised.get("load_in_8bit")):
        return "bitsandbytes"
    return str(method)


def check(model: str, method: str) -> None:
    """Refuse a checkpoint that the engine `slot` cannot load.

    Raises:
        CheckpointError: it names what is needed.
    """
    if method not in NEEDED:
        known = ", ".join(NEEDED)
        raise CheckpointError(
            f"model {model}: quantised by {method}; the engine slot reads {known}"
        )
    if missing := [name for name in NEEDED[method] if find_spec(name) is None]:
        packages = " ".join(name.replace("_", "-") for name in missing)
        raise CheckpointError(f"model {model}: quantised by {method}; pip install {packages}")
    # It warns at every layer and step that it computes in float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def check_plain(model: str, method: str | None, to: str) -> None:
    """Raise for a checkpoint that is to be quantised and is already."""
    if method is not None:
        raise CheckpointError(f"quantize {to}: model {model} is quantised by {method} already")


def try_out(model: str, loaded: PreTrainedModel) -> None:
    """Compute one token: kernels that do not take a model's sizes say so only then.

    Raises:
        CheckpointError: it cannot be computed.
    """
    # The engine `remote` runs without it.
    import torch

    try:
        with torch.inference_mode():
            loaded(torch.zeros(1, 1, dtype=torch.int64, device=loaded.device))
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"model {model}: cannot compute with it: {first_line(exc)}") from exc
