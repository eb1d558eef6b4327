"""Which families of models an engine runs.

The slot engine computes with transformers' own classes and replaces only their attention, so a
family runs if its attention is Llama's: one causal softmax over all earlier tokens of a turn.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import PreTrainedConfig

from turnstream.workers.engine import CheckpointError

#: The families whose answers tests compare with transformers' own, and their causal classes.
SLOT_FAMILIES = {
    "gemma": "GemmaForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "phi": "PhiForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
#: Their angles depend on the longest turn of a step, so turns would change each other's answers.
_REFUSED_ROPE = ("dynamic", "longrope", "su")
#: What a config may switch on that attention or the output layer would have to compute.
_REFUSED_PARTS = {
    "attn_logit_softcapping": "caps its attention scores",
    "final_logit_softcapping": "caps its logits",
    "use_bidirectional_attention": "attends to later tokens too",
}
#: How the causal classes of language models end.
_CAUSAL = ("ForCausalLM", "LMHeadModel")
#: Models that are asked for, but whose attention differs.
_OTHERS = {
    "gemma2": "it caps its attention scores",
    "gemma3": "it takes images too; gemma3_text runs",
}


def check_family(settings: Mapping[str, Any], *, engine: str) -> None:
    """Raise if an engine cannot run a model, by its `config.json`.

    Raises:
        CheckpointError: it names what the model is.
    """
    kind, made_for = settings.get("model_type"), settings.get("architectures") or []
    what = ", ".join(made_for) or kind
    causal = not made_for or any(name.endswith(_CAUSAL) for name in made_for)
    if engine != "slot":
        if not causal:
            raise CheckpointError(f"not a causal language model but {what}")
        return
    if found := _difference(kind, made_for, settings):
        raise CheckpointError(found + ("; try --engine vllm" if causal else ""))


def _difference(kind: object, made_for: Sequence[str], settings: Mapping[str, Any]) -> str | None:
    """Return what the slot engine does not compute, or None if it computes all of a model."""
    if kind in _OTHERS:
        return f"{kind} is not run by slot: {_OTHERS[str(kind)]}"
    wanted = SLOT_FAMILIES.get(str(kind))
    if wanted is None or (made_for and wanted not in made_for):
        families = ", ".join(sorted(SLOT_FAMILIES))
        return f"not a causal model of {families} but {', '.join(made_for) or kind}"
    for name, what in _REFUSED_PARTS.items():
        if settings.get(name):
            return f"it {what} ({name}), which slot does not compute"
    for rope_type in _rope_types(settings):
        # transformers takes `yarn` in a config of Phi 3 for `longrope`, as its first release did.
        if rope_type in _REFUSED_ROPE or (kind == "phi3" and rope_type == "yarn"):
            return f"its rope_type {rope_type} is not computed"
    return None


def window(config: PreTrainedConfig) -> int | None:
    """Return the tokens that attention reaches back, or None if it reaches all of them."""
    if "sliding_attention" not in getattr(config, "layer_types", ["sliding_attention"]):
        return None
    found: int | None = getattr(config, "sliding_window", None)
    return found


def _rope_types(settings: Mapping[str, Any]) -> Iterator[str]:
    """Return the types of rotary embedding, of which each type of layer may have its own."""
    rope = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    for each in (rope, *rope.values()):
        if isinstance(each, Mapping):
            yield str(each.get("rope_type", each.get("type")))
