"""A matcher that replays an answer's beginning goes on exactly as the one that followed it."""

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaTokenizer

from harness.json_schemas import make_schema, validate
from tests.effort import examples
from turnstream.turns.constraint import Constraint
from turnstream.workers.engines.grammar_mask import restrict
from turnstream.workers.engines.grammars import Grammars, Matcher
from turnstream.ws_server.json_schemas import prepared

EOS = 2
MOST_TOKENS = 120


@pytest.fixture(scope="session")
def tokenizer(tiny_llama_folder: Path) -> LlamaTokenizer:
    return LlamaTokenizer.from_pretrained(tiny_llama_folder)


@pytest.fixture(scope="session")
def grammars(tokenizer: LlamaTokenizer) -> Grammars:
    return Grammars(tokenizer, vocabulary=len(tokenizer), eos_ids=frozenset({EOS}))


def allowed(matcher: Matcher, vocabulary: int) -> list[int]:
    logits = torch.zeros(vocabulary)
    restrict(matcher, logits)
    return logits.isfinite().nonzero()[:, 0].tolist()


@settings(max_examples=examples(25, 400), deadline=None)
@given(seed=st.integers(0, 10**6))
def test_an_answer_continues_the_same_from_any_token(
    tokenizer: LlamaTokenizer, grammars: Grammars, seed: int
) -> None:
    schema, draw, size = make_schema(seed), random.Random(seed), len(tokenizer)
    constraint = Constraint.json_schema(prepared(schema, "schema"))
    matcher, ids, masks = grammars.matcher(constraint), list[int](), list[list[int]]()
    while not matcher.complete and len(ids) < MOST_TOKENS:
        masks.append(allowed(matcher, size))
        id = EOS if EOS in masks[-1] else draw.choice(masks[-1])
        if id == EOS:
            assert matcher.may_end
            break
        assert matcher.accept(id)
        ids.append(id)

    for cut, mask in enumerate(masks):
        assert allowed(grammars.matcher(constraint, ids[:cut]), size) == mask
    if len(ids) < MOST_TOKENS:
        validate(tokenizer.decode(ids), schema)
    else:
        assert not matcher.complete
