"""How the messages of a turn become its prompt."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from turnstream.prompts import SYSTEM_PROMPT
from turnstream.turns.errors import BadRequest, ContextLengthExceeded, NothingToAnswer
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, Request
from turnstream.workers.prompter import (
    Llama2Prompter,
    TemplatePrompter,
    common_length,
    continued_reply,
    joined,
    public_prefix,
    system_text,
)


class FakeTokenizer:
    """Encodes each character as its code point."""

    tokens: list[str]
    control_ids = frozenset({1, 2})
    bos_id = 1
    eos_ids = frozenset({2})

    def __init__(self) -> None:
        self.tokens = []

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: object) -> str:
        raise NotImplementedError

    def render(
        self, messages: object, *, continue_last: bool = False, tools: object = ()
    ) -> list[int]:
        return self.encode(f"{messages} {continue_last}")


def asked(
    *messages: Item, instructions: str | None = "Be brief.", truncate: bool = False
) -> tuple[tuple[Item, ...], Request]:
    request = Request(
        instructions=instructions,
        truncate=truncate,
        sampling=SamplingParams(temperature=0, top_p=1, seed=0),
    )
    return messages, request


def text_of(ids: list[int]) -> str:
    return "".join({1: "<s>", 2: "</s>"}.get(id, chr(id)) for id in ids)


LONG = (
    Message("user", "One?"),
    Message("assistant", "One."),
    Message("user", "Two?"),
    Message("assistant", "Two."),
    Message("user", "Three?"),
)


def test_neighbouring_messages_of_one_role_are_joined_and_empty_replies_left_out() -> None:
    messages = [
        Message("user", "a"),
        Message("assistant", " "),
        Message("user", "b"),
        Message("system", "s"),
        Message("assistant", "c"),
        Message("assistant", "d"),
        Message("user", "e"),
    ]

    assert joined(messages) == [
        Message("user", "a\n\nb"),
        Message("assistant", "c\n\nd"),
        Message("user", "e"),
    ]


def test_instructions_come_before_system_messages() -> None:
    messages, request = asked(Message("system", "Be kind."), Message("user", "Hi"))

    assert system_text(messages, request) == "Be brief.\n\nBe kind."


def test_a_conversation_is_written_in_llama_2_format() -> None:
    ids = Llama2Prompter(FakeTokenizer()).ids(*asked(*LONG[:3]), limit=1000)

    assert text_of(ids) == (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nOne? [/INST] One. </s><s>[INST] Two? [/INST]"
    )


def test_a_prompt_that_is_too_long_is_refused_with_its_length_and_the_limit() -> None:
    with pytest.raises(ContextLengthExceeded) as refused:
        Llama2Prompter(FakeTokenizer()).ids(*asked(*LONG), limit=50)

    assert refused.value.limit == 50
    assert refused.value.tokens > 50


@pytest.mark.parametrize("prompter", [Llama2Prompter, TemplatePrompter])
def test_truncation_drops_the_oldest_turns_and_keeps_the_system_text(
    prompter: type[Llama2Prompter] | type[TemplatePrompter],
) -> None:
    long = prompter(FakeTokenizer()).ids(*asked(*LONG), limit=1000)
    messages, request = asked(*LONG, truncate=True)

    text = text_of(prompter(FakeTokenizer()).ids(messages, request, limit=len(long) - 1))

    assert "One" not in text
    assert "Be brief." in text
    assert "Three?" in text


def test_the_public_prefix_is_the_default_system_text_and_nothing_that_was_asked() -> None:
    prompter = Llama2Prompter(FakeTokenizer())
    public = public_prefix(prompter, limit=4000)
    assert text_of(public) == f"<s>[INST] <<SYS>>\n{SYSTEM_PROMPT}\n<</SYS>>\n\n"
    own = prompter.ids(*asked(Message("user", "Hi")), limit=1000)
    assert text_of(own[: common_length(own, public)]) == "<s>[INST] <<SYS>>\n"
    assert public_prefix(prompter, limit=10) == []


def text_of_prompt(*messages: Item, instructions: str | None = "S") -> str:
    return text_of(
        Llama2Prompter(FakeTokenizer()).ids(
            *asked(*messages, instructions=instructions), limit=1000
        )
    )


def test_a_conversation_that_a_reply_begins_has_an_empty_request_before_it() -> None:
    text = text_of_prompt(Message("assistant", "Hi!"), Message("user", "Hello"))

    assert text == ("<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n [/INST] Hi! </s><s>[INST] Hello [/INST]")


@pytest.mark.parametrize("messages", [(), (Message("assistant", " "),)])
def test_a_system_text_alone_is_followed_by_an_empty_request(messages: tuple[Message, ...]) -> None:
    assert text_of_prompt(*messages) == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n [/INST]"


def test_a_conversation_that_ends_in_a_reply_goes_on_from_its_text() -> None:
    told = (Message("user", "Tell."), Message("assistant", "Once upon "))

    assert text_of_prompt(*told) == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nTell. [/INST] Once upon"
    assert continued_reply(told) == "Once upon "
    # What the system says counts as said before.
    assert continued_reply((*told, Message("system", "Go on."))) == "Once upon "
    assert continued_reply((*told, Message("user", ""))) is None
    assert continued_reply(told[:1]) is None


def test_a_reply_alone_is_continued_too() -> None:
    text = text_of_prompt(Message("assistant", "Once"))

    assert text == "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n [/INST] Once"


def test_an_empty_request_adds_nothing_to_its_neighbours() -> None:
    assert joined([Message("user", "a"), Message("user", " "), Message("user", "b")]) == [
        Message("user", "a\n\nb")
    ]


CALL = FunctionCall(call_id="c1", name="weather", arguments='{"city":"Paris"}')
OUTPUT = FunctionCallOutput(call_id="c1", output="dry")


def test_a_call_is_read_as_a_reply_and_its_output_as_a_request() -> None:
    messages = joined(
        [
            Message("user", "Rain?"),
            Message("assistant", "Let me see."),
            CALL,
            FunctionCallOutput(call_id="c1", output="dry"),
            FunctionCallOutput(call_id="c2", output="?"),
        ]
    )

    assert messages == [
        Message("user", "Rain?"),
        Message("assistant", 'Let me see.\n\nCall of the tool weather: {"city":"Paris"}'),
        Message("user", "Output of the tool weather: dry\n\nOutput of a tool: ?"),
    ]


@pytest.mark.parametrize("prompter", [Llama2Prompter, TemplatePrompter])
def test_a_call_without_output_at_the_end_is_refused(
    prompter: type[Llama2Prompter] | type[TemplatePrompter],
) -> None:
    with pytest.raises(NothingToAnswer):
        prompter(FakeTokenizer()).ids(*asked(Message("user", "Rain?"), CALL), limit=1000)


class RequestsFirst(FakeTokenizer):
    """Has a template that refuses a conversation that a reply begins, as many do."""

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        continue_last: bool = False,
        tools: object = (),
    ) -> list[int]:
        roles = [message["role"] for message in messages if message["role"] != "system"]
        if roles[:1] != ["user"]:
            raise ValueError("roles must alternate")
        return self.encode(f"{roles} {continue_last}")


@pytest.mark.parametrize(
    ("said", "rendered"),
    [
        ((), "['user'] False"),
        ((Message("user", "Hi"),), "['user'] False"),
        (
            (Message("assistant", "Hi"), Message("user", "Yes")),
            "['user', 'assistant', 'user'] False",
        ),
        ((Message("assistant", "Hi"),), "['user', 'assistant'] True"),
    ],
)
def test_a_template_gets_an_empty_request_where_it_needs_one(
    said: tuple[Message, ...], rendered: str
) -> None:
    assert text_of(TemplatePrompter(RequestsFirst()).ids(*asked(*said), limit=99)) == rendered


def test_a_template_that_takes_a_reply_first_gets_no_empty_request() -> None:
    ids = TemplatePrompter(FakeTokenizer()).ids(*asked(*LONG[1:3], instructions=None), limit=999)

    assert text_of(ids).startswith("[{'role': 'assistant', 'content': 'One.'}, {'role': 'user'")


def test_what_a_template_refuses_is_an_error_with_its_reason() -> None:
    class Refusing(FakeTokenizer):
        def render(
            self, messages: object, *, continue_last: bool = False, tools: object = ()
        ) -> list[int]:
            raise ValueError("no")

    with pytest.raises(BadRequest, match="no"):
        TemplatePrompter(Refusing()).ids(*asked(*LONG[1:3]), limit=99)
