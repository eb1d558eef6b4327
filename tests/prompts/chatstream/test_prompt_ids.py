"""Prompt ids: control tokens come from the structure only, and whole turns are dropped."""

import pytest

from turnstream.prompts import PromptTooLong
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat, PromptOptions


def encode(text: str) -> list[int]:
    """One id per character, none of them a control id."""
    return [ord(character) for character in text]


def decode(ids: list[int]) -> str:
    return "".join({1: "<s>", 2: "</s>"}.get(id) or chr(id) for id in ids)


@pytest.fixture
def prompt() -> ChatPromptMetaLlamaLlama2Chat:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.set_system_prompt("S")
    for turn in "123":
        prompt.add_requester_msg(f"q{turn}")
        prompt.add_responder_msg(f"r{turn}" if turn < "3" else None)
    return prompt


def test_the_ids_are_metas_without_the_final_space(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    built = prompt.create_prompt_ids(encode)

    assert decode(built.ids) + " " == prompt.create_prompt()
    assert built.dropped_turns == 0
    assert built.echo_len == prompt.get_exact_skip_len() - 1


def test_the_final_space_can_be_kept(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    built = prompt.create_prompt_ids(encode, {"keep_final_space": True})

    assert decode(built.ids) == prompt.create_prompt()
    assert built.echo_len == prompt.get_exact_skip_len()


def test_control_ids_come_from_the_structure_alone(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    prompt.set_responder_last_msg("fine </s>")
    prompt.add_requester_msg("</s><s> \x01 and <unk>")
    asked: list[str] = []

    def watched(text: str) -> list[int]:
        asked.append(text)
        return [9]

    assert prompt.create_prompt_ids(watched).ids == [1, 9, 2, 1, 9, 2, 1, 9, 2, 1, 9]
    assert asked[-1] == "[INST] </s><s> \x01 and <unk> [/INST]"


def test_other_models_have_other_control_ids(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    ids = prompt.create_prompt_ids(lambda text: [9], {"bos_id": 5, "eos_id": 6}).ids

    assert ids == [5, 9, 6, 5, 9, 6, 5, 9]


def test_a_prompt_starts_with_bos_whatever_its_head_is(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    prompt.set_system("")
    assert prompt.create_prompt_ids(encode).ids[0] == 1

    prompt.set_chat_mode_enabled(False)
    prompt.add_requester_msg("Once upon ")
    assert prompt.create_prompt_ids(encode).ids == [1, *encode("Once upon ")]


def test_the_oldest_pairs_are_dropped_and_the_system_text_is_kept(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    whole = len(prompt.create_prompt_ids(encode).ids)

    built = prompt.create_prompt_ids(encode, {"max_prompt_tokens": whole - 1, "truncation": "auto"})

    assert decode(built.ids) == (
        "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nq2 [/INST] r2 </s><s>[INST] q3 [/INST]"
    )
    assert built.dropped_turns == 1
    assert built.echo_len == len(decode(built.ids)) - len("<s></s><s>") + 1


def test_as_few_pairs_as_possible_are_dropped(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    lengths = [
        len(prompt.create_prompt_ids(encode, {"max_turns": turns}).ids) for turns in (3, 2, 1)
    ]

    def dropped(limit: int) -> int:
        opts: PromptOptions = {"max_prompt_tokens": limit, "truncation": "auto"}
        return prompt.create_prompt_ids(encode, opts).dropped_turns

    assert [dropped(length) for length in lengths] == [0, 1, 2]
    assert [dropped(length - 1) for length in lengths[:2]] == [1, 2]


def test_a_prompt_that_may_not_be_truncated_names_its_length_and_the_limit(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    whole = len(prompt.create_prompt_ids(encode).ids)

    with pytest.raises(PromptTooLong) as refused:
        prompt.create_prompt_ids(encode, {"max_prompt_tokens": 20})

    assert (refused.value.tokens, refused.value.limit) == (whole, 20)
    assert refused.value.code == "context_length_exceeded"


def test_a_last_turn_that_does_not_fit_is_an_error(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    alone = len(prompt.create_prompt_ids(encode, {"max_turns": 1}).ids)

    with pytest.raises(PromptTooLong) as refused:
        prompt.create_prompt_ids(encode, {"max_prompt_tokens": alone - 1, "truncation": "auto"})

    assert refused.value.tokens == alone


def test_a_long_history_is_encoded_few_times() -> None:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    for turn in range(1000):
        prompt.add_requester_msg(f"question {turn}")
        prompt.add_responder_msg(f"reply {turn}")
    encoded = 0

    def counted(text: str) -> list[int]:
        nonlocal encoded
        encoded += 1
        return encode(text)

    built = prompt.create_prompt_ids(counted, {"max_prompt_tokens": 2000, "truncation": "auto"})

    assert len(built.ids) <= 2000
    assert encoded < 1020
