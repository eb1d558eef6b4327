"""What a checkpoint's files say of sampling and of the end of an answer."""

from dataclasses import dataclass

from turnstream.workers.engines.checkpoint import Checkpoint, read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDefaults:
    """The checkpoint's sampling defaults, for turns that do not set their own."""

    #: Each of them ends an answer.
    eos_ids: frozenset[int]
    #: 0 for a model that is meant for greedy decoding.
    temperature: float
    top_p: float


def read_generation_defaults(checkpoint: Checkpoint) -> GenerationDefaults:
    """Read ``config.json`` and ``generation_config.json``."""
    model, generation = (
        read_json(checkpoint.folder / "config.json"),
        read_json(checkpoint.folder / "generation_config.json"),
    )
    greedy = generation.get("do_sample") is False
    return GenerationDefaults(
        eos_ids=_ids(model.get("eos_token_id")) | _ids(generation.get("eos_token_id")),
        temperature=0.0 if greedy else generation.get("temperature") or checkpoint.temperature,
        top_p=generation.get("top_p") or checkpoint.top_p,
    )


def _ids(value: int | list[int] | None) -> frozenset[int]:
    match value:
        case None:
            return frozenset()
        case int():
            return frozenset({value})
        case _:
            return frozenset(value)
