"""The service's Llama-2 prompt: its ids are those of the article's class."""

import hashlib
from itertools import product

import pytest

from turnstream.prompts import (
    SYSTEM_PROMPT,
    PromptIds,
    PromptTooLong,
)
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat, PromptOptions
from turnstream.prompts.llama2 import ChatMessage, prompt_ids

TALK: list[ChatMessage] = [
    ("user", "one"),
    ("assistant", "two"),
    ("user", ""),
    ("assistant", ""),
    ("user", "five"),
    ("assistant", "six"),
    ("user", "seven </s>"),
]


def encode(text: str) -> list[int]:
    """One id per character, none of them a control id."""
    return [ord(character) for character in text]


def service_ids(
    messages: list[ChatMessage], *, system: str = "S", limit: int = 10**6, truncate: bool = False
) -> PromptIds:
    return prompt_ids(
        messages,
        system=system,
        encode=encode,
        bos_id=1,
        eos_id=2,
        limit=limit,
        truncate=truncate,
    )


def article_ids(messages: list[ChatMessage], *, limit: int, truncate: bool) -> PromptIds:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.set_system_prompt("S")
    for role, text in messages:
        if role == "user":
            prompt.add_requester_msg(text)
        else:
            prompt.add_responder_msg(text)
    opts: PromptOptions = {
        "max_prompt_tokens": limit,
        "truncation": "auto" if truncate else "disabled",
    }
    return prompt.create_prompt_ids(encode, opts)


def test_the_system_prompt_is_the_published_one() -> None:
    assert len(SYSTEM_PROMPT) == 506
    assert (
        hashlib.sha256(SYSTEM_PROMPT.encode()).hexdigest()
        == "c5ca944bc2638d78ed9d6db6d8f8e9a11dcd5cda8a769b931047ebccf6922512"
    )


@pytest.mark.parametrize(
    ("start", "end"), [span for span in product(range(3), range(8)) if span[0] <= span[1]]
)
def test_the_ids_are_those_of_the_articles_class(start: int, end: int) -> None:
    messages = TALK[start:end]

    assert service_ids(messages) == article_ids(messages, limit=10**6, truncate=False)


def test_the_same_turns_are_dropped_at_each_limit() -> None:
    whole = len(service_ids(TALK).ids)
    alone = len(service_ids(TALK[-1:]).ids)

    for limit in range(alone, whole + 1):
        ours = service_ids(TALK, limit=limit, truncate=True)
        assert ours == article_ids(TALK, limit=limit, truncate=True)
        assert len(ours.ids) <= limit


@pytest.mark.parametrize("truncate", [True, False])
def test_a_prompt_that_cannot_fit_names_its_length_and_the_limit(truncate: bool) -> None:
    with pytest.raises(PromptTooLong) as service:
        service_ids(TALK, limit=20, truncate=truncate)
    with pytest.raises(PromptTooLong) as article:
        article_ids(TALK, limit=20, truncate=truncate)

    assert (service.value.tokens, service.value.limit) == (article.value.tokens, 20)
