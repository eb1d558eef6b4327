"""What the config of a LoRA adapter says, and which adapters would be wrong when only added."""

import json
from pathlib import Path
from typing import Any

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.quiet_loading import first_line

CONFIG = "adapter_config.json"
#: How weights begin; others change the base as well, which the adapter does not have.
_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
#: What PEFT can also do, and we do not.
_OTHERS = (
    "use_dora",
    "use_qalora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
)


def read_config(folder: Path) -> dict[str, Any]:
    """Read an adapter's config.

    Raises:
        CheckpointError: it cannot be read, or is not of an adapter that can be merged.
    """
    file = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kind = config.get("peft_type")
    except (OSError, ValueError, AttributeError) as exc:
        raise CheckpointError(f"{file}: cannot be read: {first_line(exc)}") from exc
    if kind != "LORA":
        raise CheckpointError(f"{file}: not a LoRA adapter but {kind}")
    refused = [name for name in _OTHERS if config.get(name)]
    if config.get("bias", "none") != "none":
        refused.append("bias")
    if config.get("init_lora_weights") not in _STARTS:
        refused.append(f"init_lora_weights {config['init_lora_weights']}")
    if refused:
        raise CheckpointError(f"{file}: cannot merge an adapter with {', '.join(refused)}")
    return config
