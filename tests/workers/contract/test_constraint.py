"""An answer with a constraint follows its grammar, whatever runs beside it, wherever it resumes."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from transformers import LlamaTokenizer

from tests.effort import examples
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import LENGTH, STOP, greedy, prompts, seeded
from tests.workers.listener import Listener, answer, start
from turnstream.prompts.tools import (
    CALL_FORMATS,
    Arguments,
    CallBegun,
    CallEnded,
    Offer,
    Tool,
    ToolFormat,
    joined,
)
from turnstream.prompts.tools.grammar import grammar
from turnstream.turns.constraint import Constraint
from turnstream.workers.engine import BadConstraint, FinishReason

EOS = frozenset({2})
MARKS = {
    ToolFormat.HERMES: "<tool_call>",
    ToolFormat.TURNSTREAM: "<tool_call>",
    ToolFormat.LLAMA_3: "{",
    ToolFormat.MISTRAL: "[TOOL_CALLS]",
    ToolFormat.MISTRAL_ARGS: "[TOOL_CALLS]",
    ToolFormat.MISTRAL_CALL_ID: "[TOOL_CALLS]",
    ToolFormat.PYTHONIC: "[",
}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def tokenizer(tiny_llama_folder: Any) -> LlamaTokenizer:
    return LlamaTokenizer.from_pretrained(tiny_llama_folder)


def text_of(tokenizer: LlamaTokenizer, turn: Listener) -> str:
    return str(tokenizer.decode(turn.ids))


def test_every_answer_follows_its_schema_and_ends_by_itself(
    make_engine: MakeEngine, tokenizer: LlamaTokenizer
) -> None:
    engine = make_engine(slots=4, eos_ids=EOS)
    samplings = [greedy(150), *(replace(seeded(150, seed), temperature=1.5) for seed in range(5))]
    turns = [
        start(engine, prompt, sampling, constraint=Constraint.json_schema(PERSON))
        for prompt, sampling in zip(prompts(6, seed=31), samplings, strict=True)
    ]

    for turn in turns:
        assert turn.wait() == STOP
        jsonschema.validate(json.loads(text_of(tokenizer, turn)), PERSON)


@pytest.mark.parametrize(
    ("constraint", "texts"),
    [
        (Constraint.choice(["yes", "no"]), {"yes", "no"}),
        (Constraint("regex", "a{3}/b"), {"aaa/b"}),
        (Constraint("lark", 'start: "x" end\nend: "y"'), {"xy"}),
    ],
)
def test_an_answer_is_one_of_the_texts_of_its_grammar(
    make_engine: MakeEngine, tokenizer: LlamaTokenizer, constraint: Constraint, texts: set[str]
) -> None:
    engine = make_engine(eos_ids=EOS)
    turn = start(engine, [1, 7, 8, 9], seeded(20, 4), constraint=constraint)

    assert turn.wait() == STOP
    assert text_of(tokenizer, turn).strip() in texts


def test_an_answer_is_the_same_when_it_is_resumed_at_any_token(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4, eos_ids=EOS)
    constraint, prompt = Constraint.json_schema(PERSON), [1, 20, 30, 40]
    sampling = seeded(150, 9)
    whole = start(engine, prompt, sampling, constraint=constraint)
    assert whole.wait() == STOP
    for cut in range(len(whole.ids), 0, -examples(7, 1)):
        rest = start(
            engine,
            [*prompt, *whole.ids[:cut]],
            replace(sampling, max_tokens=150 - cut),
            generated=cut,
            constraint=constraint,
        )
        assert rest.wait() == STOP
        assert whole.ids[:cut] + rest.ids == whole.ids


def test_turns_without_a_constraint_are_answered_as_if_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4, eos_ids=EOS)
    asked = prompts(3, seed=33)
    alone = [answer(engine, prompt, seeded(40, n)) for n, prompt in enumerate(asked)]
    constrained = start(
        engine, [1, 5, 6], seeded(150, 1), constraint=Constraint.json_schema(PERSON)
    )
    together = [start(engine, prompt, seeded(40, n)) for n, prompt in enumerate(asked)]
    for turn in (constrained, *together):
        turn.wait()

    assert [turn.ids for turn in together] == alone


def test_an_answer_cut_at_its_limit_is_the_beginning_of_one(
    make_engine: MakeEngine, tokenizer: LlamaTokenizer
) -> None:
    engine = make_engine(eos_ids=EOS)
    constraint = Constraint.json_schema(PERSON)
    whole = start(engine, [1, 5, 6], greedy(150), constraint=constraint)
    whole.wait()
    cut = start(engine, [1, 5, 6], greedy(6), constraint=constraint)

    assert cut.wait() == LENGTH
    assert cut.ids == whole.ids[:6]


def test_a_bad_grammar_is_refused_and_harms_no_other_turn(make_engine: MakeEngine) -> None:
    engine = make_engine(eos_ids=EOS)
    for constraint in (
        Constraint("regex", "(a"),
        Constraint("lark", "start: missing"),
        Constraint.json_schema({"type": "objekt"}),
    ):
        with pytest.raises(BadConstraint):
            start(engine, [1, 5, 6], greedy(5), constraint=constraint)

    assert start(engine, [1, 5, 6], greedy(5)).wait().reason in (
        FinishReason.LENGTH,
        FinishReason.STOP,
    )


def test_an_answer_that_left_its_grammar_is_not_resumed(make_engine: MakeEngine) -> None:
    engine = make_engine(eos_ids=EOS)
    with pytest.raises(BadConstraint):
        start(
            engine, [1, 5, 6, 7, 7], greedy(5), generated=2, constraint=Constraint.choice(["yes"])
        )


@pytest.mark.parametrize("kind", list(ToolFormat))
@pytest.mark.parametrize("required", [True, False])
def test_calls_of_tools_validate_and_are_read_in_every_format(
    make_engine: MakeEngine, tokenizer: LlamaTokenizer, kind: ToolFormat, required: bool
) -> None:
    tool = Tool(name="greet", parameters=json.dumps(PERSON), strict=True)
    offer = Offer(tools=(tool,), required=required, parallel=False)
    lark = grammar(CALL_FORMATS[kind], offer, control_ids={})
    assert lark is not None
    engine = make_engine(eos_ids=EOS)
    # The model would never call by itself: it goes on from where it has begun to.
    begun = [] if required else tokenizer.encode(MARKS[kind], add_special_tokens=False)
    turn = start(
        engine,
        [1, 5, 6, *begun],
        seeded(200, 6),
        generated=len(begun),
        constraint=Constraint("lark", lark),
    )

    assert turn.wait() == STOP
    reader = CALL_FORMATS[kind].reader(offer)
    text = str(tokenizer.decode([*begun, *turn.ids]))
    call, arguments, end = joined([*reader.feed(text), *reader.finish(cut=False)])
    assert (call, end) == (CallBegun("greet"), CallEnded())
    assert isinstance(arguments, Arguments)
    jsonschema.validate(json.loads(arguments.text), PERSON)
