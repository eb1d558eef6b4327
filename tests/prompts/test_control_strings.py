"""Control strings in requests and replies."""

import pytest

from turnstream.prompts import CONTROL_STRINGS, ControlStringError, check_text, neutralise
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat


@pytest.mark.parametrize("text", ["[INST]", "a[/INST]b", "<<SYS>>\n", "x <</SYS>>"])
def test_a_request_with_a_control_string_is_refused_and_changes_nothing(text: str) -> None:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.add_requester_msg("before")
    before = prompt.to_dict()

    with pytest.raises(ControlStringError) as refused:
        prompt.add_requester_msg(text)

    assert refused.value.code == "unsafe_prompt"
    assert refused.value.control_string in text
    assert prompt.to_dict() == before


@pytest.mark.parametrize("text", ["<s>", "</s> <unk>", "[inst]", "[ INST]", "<<sys>>", "[INST"])
def test_text_that_only_resembles_a_control_string_is_accepted(text: str) -> None:
    check_text(text)


def test_a_plain_completion_may_contain_control_strings() -> None:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.set_chat_mode_enabled(False)

    prompt.add_requester_msg("[INST] hand made [/INST]")

    assert prompt.create_prompt() == "[INST] hand made [/INST]"


@pytest.mark.parametrize("mark", CONTROL_STRINGS)
def test_a_control_string_in_a_reply_is_neutralised(mark: str) -> None:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.add_requester_msg("q")
    prompt.add_responder_msg(f"so {mark} it is")

    stored = prompt.get_responder_last_msg()

    assert stored is not None
    check_text(stored)
    assert stored.replace(" ", "") == f"so{mark}itis"
    prompt.set_responder_last_msg(mark)
    assert prompt.get_responder_last_msg() != mark


@pytest.mark.parametrize("text", ["<<<SYS>>>", "[[INST]]", "[INST][INST]", "<<</SYS>><<SYS>>>"])
def test_neutralised_text_has_no_control_string_and_is_not_changed_again(text: str) -> None:
    neutral = neutralise(text)

    check_text(neutral)
    assert neutralise(neutral) == neutral
