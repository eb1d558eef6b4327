"""Which prompt a model gets."""

import pytest

from turnstream.prompts import ChatPromptMetaLlamaLlama2Chat, prompt_for


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-2-7b-chat-hf",
        "/models/llama-2-13b-chat/",
        "TheBloke/Llama-2-70B-Chat-GPTQ",
        "elyza/ELYZA-japanese-Llama-2-7b-instruct",
    ],
)
def test_llama_2_and_what_was_tuned_from_it_get_its_prompt(name: str) -> None:
    assert prompt_for(name) is ChatPromptMetaLlamaLlama2Chat


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-2-7b-hf",
        "meta-llama/Llama-3.1-8B-Instruct",
        "upstage/Llama-2-70b-instruct",
        "FlagAlpha/Llama2-Chinese-7b-Chat",
        "gpt2",
    ],
)
def test_every_other_model_gets_its_own_template(name: str) -> None:
    assert prompt_for(name) is None


def test_a_folder_of_any_name_is_known_by_where_its_config_says_it_is_from() -> None:
    config = {"_name_or_path": "meta-llama/Llama-2-7b-chat-hf", "model_type": "llama"}

    assert prompt_for("/models/ours", config) is ChatPromptMetaLlamaLlama2Chat


def test_the_config_overrules_every_name() -> None:
    assert (
        prompt_for("ours", {"turnstream_prompt": "llama-2-chat"}) is ChatPromptMetaLlamaLlama2Chat
    )
    assert prompt_for("Llama-2-7b-chat", {"turnstream_prompt": "template"}) is None


def test_a_prompt_that_does_not_exist_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="turnstream_prompt is 'llama-9'"):
        prompt_for("ours", {"turnstream_prompt": "llama-9"})
