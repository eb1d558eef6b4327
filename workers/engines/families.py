"""Which families of models an engine runs.

The slot engine computes with transformers' own classes and replaces only their attention, so a
family runs if its attention is Llama's: one causal softmax over all earlier tokens of a turn.
"""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from turnstream.workers.engine import CheckpointError

#: The families whose answers tests compare with transformers' own, and their causal classes.
SLOT_FAMILIES = {
    "gemma": "GemmaForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
#: Their angles depend on the longest turn of a step, so turns would change each other's answers.
_REFUSED_ROPE = ("dynamic", "longrope")


def check_family(settings: Mapping[str, Any], *, engine: str) -> None:
    """Raise if an engine cannot run a model, by its `config.json`.

    Raises:
        CheckpointError: it names what the model is.
    """
    kind, made_for = settings.get("model_type"), settings.get("architectures") or []
    what = ", ".join(made_for) or kind
    if engine == "vllm":
        if made_for and not any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in made_for):
            raise CheckpointError(f"not a causal language model but {what}")
        return
    wanted = SLOT_FAMILIES.get(str(kind))
    if wanted is None or (made_for and wanted not in made_for):
        families = ", ".join(sorted(SLOT_FAMILIES))
        raise CheckpointError(f"not a causal model of {families} but {what}; try --engine vllm")
    rope = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    rope_type = rope.get("rope_type", rope.get("type"))
    if rope_type in _REFUSED_ROPE:
        raise CheckpointError(f"its rope_type {rope_type} is not computed; try --engine vllm")


def window(config: PreTrainedConfig) -> int | None:
    """Return the tokens that attention reaches back, or None if it reaches all of them."""
    found: int | None = getattr(config, "sliding_window", None)
    return found
