"""Which prompt format a model gets."""

import pytest

from turnstream.prompts import PromptFormat, prompt_format


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-2-7b-chat-hf",
        "/models/llama-2-13b-chat/",
        "TheBloke/Llama-2-70B-Chat-GPTQ",
        "elyza/ELYZA-japanese-Llama-2-7b-instruct",
    ],
)
def test_llama_2_chat_and_models_tuned_on_its_format_get_it(name: str) -> None:
    assert prompt_format(name) is PromptFormat.LLAMA_2_CHAT


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
    assert prompt_format(name) is PromptFormat.TEMPLATE


def test_the_origin_in_the_config_decides_for_a_folder_of_any_name() -> None:
    config = {"_name_or_path": "meta-llama/Llama-2-7b-chat-hf", "model_type": "llama"}

    assert prompt_format("/models/ours", config) is PromptFormat.LLAMA_2_CHAT


def test_the_config_decides_before_any_name() -> None:
    assert prompt_format("ours", {"turnstream_prompt": "llama-2-chat"}) is PromptFormat.LLAMA_2_CHAT
    assert (
        prompt_format("Llama-2-7b-chat", {"turnstream_prompt": "template"}) is PromptFormat.TEMPLATE
    )


def test_a_format_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="turnstream_prompt is 'llama-9'"):
        prompt_format("ours", {"turnstream_prompt": "llama-9"})


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("lmsys/vicuna-13b-v1.5", PromptFormat.VICUNA),
        ("tokyotech-llm/Swallow-7b-instruct-hf", PromptFormat.ALPACA_JA),
        ("rinna/youri-7b-chat", PromptFormat.YOURI_CHAT),
        ("codellama/CodeLlama-7b-Instruct-hf", PromptFormat.LLAMA_2_CHAT),
        ("codellama/CodeLlama-70b-Instruct-hf", PromptFormat.TEMPLATE),
    ],
)
def test_a_known_model_gets_its_format_only_if_its_tokenizer_has_no_template(
    name: str, known: PromptFormat
) -> None:
    assert prompt_format(name, has_template=False) is known
    assert prompt_format(name, has_template=True) is PromptFormat.TEMPLATE
