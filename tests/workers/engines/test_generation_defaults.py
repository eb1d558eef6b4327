"""The generation defaults of a checkpoint's files."""

import json
from pathlib import Path

import pytest

from turnstream.workers.engines.checkpoint import Checkpoint
from turnstream.workers.engines.generation_defaults import (
    GenerationDefaults,
    read_generation_defaults,
)


@pytest.mark.parametrize(
    ("config", "generation", "defaults"),
    [
        ({}, None, GenerationDefaults(eos_ids=frozenset(), temperature=1.0, top_p=1.0)),
        (
            {"eos_token_id": 2},
            {"eos_token_id": [2, 7], "do_sample": True, "temperature": 0.6, "top_p": 0.9},
            GenerationDefaults(eos_ids=frozenset({2, 7}), temperature=0.6, top_p=0.9),
        ),
        (
            {"eos_token_id": None},
            {"eos_token_id": 3, "do_sample": False},
            GenerationDefaults(eos_ids=frozenset({3}), temperature=0.0, top_p=1.0),
        ),
    ],
    ids=["nothing", "sampled", "greedy"],
)
def test_generation_defaults_are_read_from_both_files(
    tmp_path: Path,
    config: dict[str, object],
    generation: dict[str, object] | None,
    defaults: GenerationDefaults,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert read_generation_defaults(Checkpoint(name="any", folder=tmp_path)) == defaults


def test_what_authors_recommend_holds_where_the_files_say_nothing(tmp_path: Path) -> None:
    checkpoint = Checkpoint(name="any", folder=tmp_path, temperature=0.2, top_p=0.9)
    (tmp_path / "generation_config.json").write_text('{"top_p": 0.5}')

    defaults = read_generation_defaults(checkpoint)

    assert (defaults.temperature, defaults.top_p) == (0.2, 0.5)
