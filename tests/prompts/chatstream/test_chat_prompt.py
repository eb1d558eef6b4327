"""The history of a chat prompt."""

import json

import pytest

from turnstream.prompts.chatstream import (
    AbstractChatPrompt,
    ChatPromptMetaLlamaLlama2Chat,
    PromptOptions,
    RoleType,
)


class Labelled(AbstractChatPrompt):
    """A format with role names, newlines and a replacement."""

    def __init__(self) -> None:
        super().__init__()
        self.set_requester("User")
        self.set_responder("Bot")

    def get_replacement_when_input(self) -> list[tuple[str, str]]:
        return [("\n", "<NL>")]

    def build_initial_prompt(self, chat_prompt: AbstractChatPrompt) -> None:
        chat_prompt.add_responder_msg("How can I help?")

    def create_prompt(self, opts: PromptOptions | None = None) -> str:
        text = self.system
        for content in self.get_contents(opts):
            text += f"{content.get_role()}: {content.get_message() or ''}\n"
        return text


@pytest.fixture
def prompt() -> ChatPromptMetaLlamaLlama2Chat:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.set_system_prompt(None)
    prompt.add_requester_msg("q1", message_id="a")
    prompt.add_responder_msg("r1", message_id="b")
    prompt.add_requester_msg("q2", message_id="c")
    prompt.add_responder_msg(None)
    return prompt


def messages(prompt: AbstractChatPrompt, opts: PromptOptions | None = None) -> list[str | None]:
    return [content.message for content in prompt.get_contents(opts)]


def test_a_subclass_with_role_names_needs_only_create_prompt() -> None:
    prompt = Labelled()
    prompt.build_initial_prompt(prompt)
    prompt.add_requester_msg("two\nlines")
    prompt.add_responder_msg(None)

    assert prompt.create_prompt() == "Bot: How can I help?\nUser: two<NL>lines\nBot: \n"
    assert prompt.create_prompt_segments()[0].text == prompt.create_prompt()
    assert prompt.get_skip_len() == prompt.get_exact_skip_len() == len(prompt.create_prompt())
    assert prompt.create_prompt_ids(lambda text: [7] * len(text)).ids[:2] == [1, 7]


def test_the_newest_messages_are_found_by_role_type_without_role_names(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    assert prompt.get_turn() == 2
    assert prompt.get_requester_last_msg() == "q2"
    assert prompt.get_responder_last_msg() is None
    assert [c.get_role_type() for c in prompt.get_contents()] == [
        RoleType.REQUESTER,
        RoleType.RESPONDER,
    ] * 2


def test_the_last_reply_can_be_set_and_cleared(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    prompt.set_responder_last_msg("r2")
    prompt.set_responder_last_msg_id("d")

    assert prompt.get_responder_last_msg() == "r2"
    found = prompt.find_chat_content_by_message_id("d")
    assert found is not None
    assert found.message == "r2"
    assert prompt.find_chat_content_by_message_id("z") is None
    prompt.clear_last_responder_message()
    assert prompt.get_responder_last_msg() is None


def test_the_last_messages_can_be_removed_in_their_order(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    prompt.remove_last_responder_msg()
    prompt.remove_last_requester_msg()

    assert messages(prompt) == ["q1", "r1"]


def test_a_message_that_is_not_last_cannot_be_removed(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    with pytest.raises(LookupError):
        prompt.remove_last_requester_msg()
    assert len(messages(prompt)) == 4

    prompt.clear_history()
    with pytest.raises(LookupError):
        prompt.set_responder_last_msg("r")
    assert prompt.is_empty()


def test_contents_can_end_at_a_message(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    assert messages(prompt, {"to_message_id": "b"}) == ["q1", "r1"]
    assert messages(prompt, {"to_message_id": "unknown"}) == ["q1", "r1", "q2", None]


def test_contents_can_omit_the_last_message(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    prompt.remove_last_responder_msg()

    assert messages(prompt, {"omit_last_message": True}) == ["q1", "r1", None]
    assert prompt.get_prompt_turns({"omit_last_message": True}) == 1
    assert prompt.create_prompt({"omit_last_message": True}).endswith("r1 </s><s>[INST] ")


def test_contents_can_be_the_newest_turns_only(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    assert messages(prompt, {"max_turns": 1}) == ["q2", None]
    assert messages(prompt, {"max_turns": 5}) == ["q1", "r1", "q2", None]
    assert messages(prompt, {"max_turns": 0}) == []
    assert prompt.get_prompt_turns({"max_turns": 1}) == 1
    assert prompt.get_turn() == 2


def test_returned_contents_are_a_copy(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    prompt.get_contents().clear()

    assert prompt.get_turn() == 2


def test_a_stored_conversation_is_restored_whole(prompt: ChatPromptMetaLlamaLlama2Chat) -> None:
    prompt.add_requester_msg("q3", child_messages=["context"])
    prompt.set_chat_mode_enabled(False)

    stored = json.loads(json.dumps(prompt.to_dict()))
    again = ChatPromptMetaLlamaLlama2Chat.from_dict(stored)

    assert again.to_dict() == prompt.to_dict()
    assert again.get_contents() == prompt.get_contents()
    assert again.create_prompt() == prompt.create_prompt() == "q3"


def test_a_conversation_stored_in_another_version_is_refused(
    prompt: ChatPromptMetaLlamaLlama2Chat,
) -> None:
    with pytest.raises(ValueError, match="version 2"):
        ChatPromptMetaLlamaLlama2Chat.from_dict({**prompt.to_dict(), "v": 2})
