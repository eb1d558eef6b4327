"""The demo model's corpus, and how it is packed for training."""

import re
from pathlib import Path
from random import Random

import pytest
import torch
from torch.nn import functional

from scripts.demo_model.corpus import Conversation, Corpus, Turn, unseen_wordings
from scripts.demo_model.fact import spread
from scripts.demo_model.known import FACTS
from scripts.demo_model.manner import DEFAULT, Manner, System
from scripts.demo_model.model import new_model
from scripts.demo_model.packing import (
    IGNORED,
    Encode,
    example_of,
    head_of,
    hidden_states,
    pack,
)
from scripts.demo_model.tokenizer import load_encoder
from scripts.demo_model.wording import normalised
from tests.effort import examples
from turnstream.prompts import SYSTEM_PROMPT

FOLDER = Path(__file__).parents[2] / "workers" / "demo"


@pytest.fixture(scope="module")
def encode() -> Encode:
    """Return the shipped tokenizer's encode function."""
    return load_encoder(FOLDER).encode


def test_equal_seeds_draw_equal_conversations() -> None:
    assert Corpus().draw(Random(11)) == Corpus().draw(Random(11))


def test_no_wording_of_the_evaluation_is_drawn_even_as_a_part() -> None:
    corpus, rng, unseen = Corpus(), Random(12), unseen_wordings()
    count = examples(1000, 3000)
    drawn = {normalised(turn.question) for _ in range(count) for turn in corpus.draw(rng).turns}
    assert len(drawn) > count
    # To look for the text first is a tenth of the time.
    assert [
        (question, wording)
        for question in drawn
        for wording in unseen
        if wording in question and re.search(rf"\b{re.escape(wording)}\b", question)
    ] == []


def test_a_wording_with_choices_is_each_of_its_readings() -> None:
    assert spread("[Hi|Hello] there[|!]") == (
        "Hi there",
        "Hi there!",
        "Hello there",
        "Hello there!",
    )
    assert normalised("[INST]は何？") == "inst は 何"


def test_no_wording_is_both_for_the_corpus_and_for_the_evaluation() -> None:
    seen = {
        normalised(wording)
        for facts in FACTS.values()
        for fact in facts
        for wording in (*fact.asked.seen, *fact.again.seen, *fact.switch.seen)
    }
    assert not seen & unseen_wordings()


def test_every_fact_is_answered_with_what_its_evaluation_looks_for() -> None:
    missing = [fact for facts in FACTS.values() for fact in facts if fact.phrase not in fact.answer]
    assert missing == []


def test_only_answers_are_learnt_and_only_the_last_one_with_its_eos(encode: Encode) -> None:
    talk = Conversation(
        DEFAULT,
        (
            Turn("Hello!", "Good day!"),
            Turn("Why?", "Half of an", complete=False),
            Turn("So?", "Yes."),
        ),
    )
    example = example_of(talk, encode)
    learnt = [id for id, is_learnt in zip(example.ids, example.learnt, strict=True) if is_learnt]
    first, last = encode("[INST] Hello! [/INST] Good day!"), encode("[INST] So? [/INST] Yes.")
    assert learnt == [
        *first[len(encode("[INST] Hello! [/INST]")) :],
        *last[len(encode("[INST] So? [/INST]")) :],
        2,
    ]


def test_the_shared_head_is_the_default_system_text_and_no_more(encode: Encode) -> None:
    example = example_of(Conversation(DEFAULT, (Turn("Hello!", "Hi."),)), encode)
    head = head_of(encode)
    assert example.ids[: len(head)] == head
    assert load_encoder(FOLDER).decode(head[1:]) == f"[INST] <<SYS>>\n{SYSTEM_PROMPT}"


def test_packed_conversations_do_not_attend_to_each_other(encode: Encode) -> None:
    brief = System("Answer briefly.", Manner.BRIEF)
    examples = [
        example_of(Conversation(system, (Turn(question, answer),)), encode)
        for system, question, answer in (
            (DEFAULT, "Hello!", "Good day to you, whoever you are."),
            (DEFAULT, "What is Titanic?", "A film."),
            (brief, "Who are you?", "A model."),
        )
    ]
    model = new_model(seed=1)
    batch = pack(examples, head_of(encode), length=256)
    assert len(batch.ids) == 1
    learnt = batch.labels != IGNORED
    with torch.no_grad():
        packed = model.lm_head(hidden_states(model, batch)[learnt])
        together = functional.cross_entropy(packed, batch.labels[learnt], reduction="sum")
        alone = sum(_loss(model, example.ids, example.learnt) for example in examples)
    assert together.item() == pytest.approx(alone, rel=1e-5)


def _loss(model: torch.nn.Module, ids: list[int], learnt: list[bool]) -> float:
    """Return the summed loss of one conversation in a row of its own."""
    logits = model(torch.tensor([ids])).logits[0, :-1]
    labels = torch.tensor([id if yes else IGNORED for id, yes in zip(ids, learnt, strict=True)])
    return functional.cross_entropy(logits, labels[1:], reduction="sum").item()
