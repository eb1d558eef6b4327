"""What a checkpoint's own files say about how it likes to answer."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDefaults:
    """What holds for a turn that asks for nothing else."""

    #: Any of them ends an answer.
    eos_ids: frozenset[int]
    #: 0 for a model that is meant to take the likeliest token always.
    temperature: float
    top_p: float


def read_generation_defaults(folder: Path) -> GenerationDefaults:
    """Read ``config.json`` and ``generation_config.json``; what neither says is 1, or nothing."""
    model, generation = _read(folder / "config.json"), _read(folder / "generation_config.json")
    greedy = generation.get("do_sample") is False
    return GenerationDefaults(
        eos_ids=_ids(model.get("eos_token_id")) | _ids(generation.get("eos_token_id")),
        temperature=0.0 if greedy else generation.get("temperature") or 1.0,
        top_p=generation.get("top_p") or 1.0,
    )


def _read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _ids(value: int | list[int] | None) -> frozenset[int]:
    match value:
        case None:
            return frozenset()
        case int():
            return frozenset({value})
        case _:
            return frozenset(value)
