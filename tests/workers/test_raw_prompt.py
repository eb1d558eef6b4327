"""Raw prompts go to the model as they are."""

from dataclasses import replace

import pytest

from tests.workers.test_prompter import FakeTokenizer, asked, text_of
from turnstream.turns.errors import ContextLengthExceeded
from turnstream.turns.turn import Message, Request
from turnstream.workers.prompter import Llama2Prompter
from turnstream.workers.raw_prompt import WithRawPrompts

LIMIT = 1000


@pytest.fixture
def prompter() -> WithRawPrompts:
    tokenizer = FakeTokenizer()
    return WithRawPrompts(tokenizer, Llama2Prompter(tokenizer))


def raw(text: str, **fields: object) -> tuple[tuple[Message, ...], Request]:
    messages, request = asked(Message("user", text))
    return messages, replace(request, raw=True, **fields)


@pytest.mark.parametrize("text", ["", " a\n", "[INST] <<SYS>> </s>"])
def test_a_text_follows_a_bos_unchanged_whatever_it_spells(
    prompter: WithRawPrompts, text: str
) -> None:
    ids = prompter.ids(*raw(text), limit=LIMIT)

    assert ids == [1, *map(ord, text)]


def test_ids_are_taken_as_they_are(prompter: WithRawPrompts) -> None:
    assert prompter.ids((), raw("", prompt_ids=(7, 2, 9))[1], limit=LIMIT) == [7, 2, 9]


@pytest.mark.parametrize("fields", [{}, {"prompt_ids": (7, 8, 9)}])
def test_a_raw_prompt_that_is_too_long_is_refused_and_never_cut(
    prompter: WithRawPrompts, fields: dict[str, object]
) -> None:
    with pytest.raises(ContextLengthExceeded) as refused:
        prompter.ids(*raw("ab", truncate=True, **fields), limit=2)

    assert refused.value.tokens == 3


def test_a_conversation_is_written_in_its_chat_format(prompter: WithRawPrompts) -> None:
    ids = prompter.ids(*asked(Message("user", "Hi")), limit=LIMIT)

    assert text_of(ids).endswith("Hi [/INST]")
