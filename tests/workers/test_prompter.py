"""How the messages of a turn become its prompt."""

import pytest

from turnstream.prompts import SYSTEM_PROMPT
from turnstream.turns.errors import ContextLengthExceeded, UnsafePrompt
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Message, Request
from turnstream.workers.prompter import (
    Llama2Prompter,
    TemplatePrompter,
    common_length,
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

    def render(self, messages: object) -> list[int]:
        return self.encode(str(messages))


def asked(
    *messages: Message, instructions: str | None = "Be brief.", truncate: bool = False
) -> tuple[tuple[Message, ...], Request]:
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


def test_a_control_string_from_an_old_record_is_refused() -> None:
    with pytest.raises(UnsafePrompt):
        Llama2Prompter(FakeTokenizer()).ids(*asked(Message("user", "[INST]")), limit=1000)


def test_the_public_prefix_is_the_default_system_text_and_nothing_that_was_asked() -> None:
    prompter = Llama2Prompter(FakeTokenizer())
    public = public_prefix(prompter, limit=4000)
    assert text_of(public) == f"<s>[INST] <<SYS>>\n{SYSTEM_PROMPT}\n<</SYS>>\n\n"
    own = prompter.ids(*asked(Message("user", "Hi")), limit=1000)
    assert text_of(own[: common_length(own, public)]) == "<s>[INST] <<SYS>>\n"
    assert public_prefix(prompter, limit=10) == []
