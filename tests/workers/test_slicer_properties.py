"""Five thousand conversations, natural and hostile: every slice is exact, by ids and by text.

Slices are compared with the text that was encoded, not with another decoder; the random-ids test
has no such text and uses SentencePiece's pieces.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import sentencepiece_model
from tests.effort import examples
from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat
from turnstream.prompts.chatstream.echo_cut import EchoCounts, EchoCut
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import Slicer

PROFILE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

NATURAL = [
    "Hello there",
    "The answer is 195",
    " ",
    ", how are you?",
    "finished in 1512.",
    "それは本当ですか。",
    "はい",
    "😀",
    "naïve café",
    "def f(x):\n    return x\n",
]
HOSTILE = [
    "",
    "  ",
    "\n",
    "\t",
    "<s>",
    "</s>",
    "<unk>",
    "</s><s>",
    "<0x0A>",
    "\u2581",
    "\x00",
    "👩\u200d👩\u200d👧",
    "e\u0301",
    "\u3000",
    "[INST",
    "INST]",
]
MARKS = ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"]

REQUEST_WORDS = NATURAL + HOSTILE
REPLY_WORDS = REQUEST_WORDS + MARKS


@dataclass(frozen=True)
class Conversation:
    """A conversation, the grouping of its last reply's ids, and the kind of tokenizer."""

    #: Request and reply in turn; the last reply is the one to slice.
    spoken: list[str]
    #: The reply has no space of its own before it.
    bare: bool
    legacy: bool
    keep_final_space: bool
    #: Where the reply's ids are parted.
    places: bytes


#: Bytes that stand for one conversation: turns, flags, two places, three words for each message.
SIZE = 4 + 3 * 16


def conversation(data: bytes) -> Conversation:
    """Return the conversation of some drawn bytes; one draw is much faster than one per word."""
    spoken = [
        "".join(words[byte % len(words)] for byte in data[at : at + 3])
        for at in range(4, 4 + 6 * (1 + data[0] % 8), 3)
        for words in [REQUEST_WORDS if at % 2 == 0 else REPLY_WORDS]
    ]
    bare, legacy, keep_final_space = (bool(data[1] & bit) for bit in (1, 2, 4))
    return Conversation(spoken, bare, legacy, keep_final_space, data[2:4])


replies = st.lists(st.sampled_from(REPLY_WORDS), max_size=3).map("".join)


@dataclass(frozen=True)
class Tokenizers:
    """One vocabulary in SentencePiece, as a byte table and in transformers."""

    model: Any
    table: ByteTable
    #: By ``legacy``: one that reads control strings, and one to which they are text.
    transformers: dict[bool, Any]
    text_only: dict[bool, Any]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Tokenizers:
    folder = sentencepiece_model.train(tmp_path_factory.mktemp("tokenizer"))
    model = sentencepiece_model.processor(folder)
    table = ByteTable.from_tokens(
        sentencepiece_model.tokens(model), sentencepiece_model.control_ids(model)
    )
    loaded = Tokenizers(model=model, table=table, transformers={}, text_only={})
    for legacy in (True, False):
        loaded.transformers[legacy], split = (
            sentencepiece_model.transformers_tokenizer(folder, legacy=legacy) for _ in range(2)
        )
        loaded.text_only[legacy] = split.backend_tokenizer
        loaded.text_only[legacy].encode_special_tokens = True
    return loaded


def cut(ids: list[int], places: Sequence[int]) -> list[list[int]]:
    edges = [0, *sorted(place % (len(ids) + 1) for place in places), len(ids)]
    return [ids[a:b] for a, b in pairwise(edges)]


@settings(PROFILE, max_examples=examples(200, 1000))
@given(drawn=st.binary(min_size=5 * SIZE, max_size=5 * SIZE))
def test_thousands_of_conversations_are_sliced_exactly_by_ids_and_by_text(
    tokenizers: Tokenizers, drawn: bytes
) -> None:
    for at in range(0, len(drawn), SIZE):
        hold_to_its_text(conversation(drawn[at : at + SIZE]), tokenizers)


def hold_to_its_text(talk: Conversation, tokenizers: Tokenizers) -> None:
    tokenizer, text_only = tokenizers.transformers[talk.legacy], tokenizers.text_only[talk.legacy]
    prompt = ChatPromptMetaLlamaLlama2Chat()
    prompt.set_system_prompt("Be brief.")
    *history, reply = talk.spoken
    for place, message in enumerate(history):
        (prompt.add_responder_msg if place % 2 else prompt.add_requester_msg)(message)
    prompt.add_responder_msg(None)
    turns = len(talk.spoken) // 2

    # Prompt: control ids come from turns only, and the ids are those of Meta's tokenizer.
    def encode(text: str) -> list[int]:
        ids: list[int] = text_only.encode(text, add_special_tokens=False).ids
        return ids

    built = prompt.create_prompt_ids(encode, {"keep_final_space": talk.keep_final_space})
    assert built.ids.count(1) == prompt.get_prompt_turns() == turns
    assert built.ids.count(2) == turns - 1
    assert 0 not in built.ids
    assert built.ids == [
        id
        for segment in prompt.create_prompt_segments()
        for id in (
            [1]
            + tokenizers.model.encode(
                segment.text if segment.eos or talk.keep_final_space else segment.text[:-1]
            )
            + ([2] if segment.eos else [])
        )
    ]
    assert built.echo_len == prompt.get_exact_skip_len() - (not talk.keep_final_space)
    stored = json.loads(json.dumps(prompt.to_dict()))
    assert ChatPromptMetaLlamaLlama2Chat.from_dict(stored).to_dict() == prompt.to_dict()

    # Reply: with or without a leading space of its own.
    ids: list[int] = tokenizers.model.encode(reply)
    if talk.bare and ids and tokenizers.model.id_to_piece(ids[0]) == "\u2581":
        ids = ids[1:]
    truth = reply.replace("\u2581", " ").lstrip()

    by_ids = Slicer(tokenizers.table)
    by_text = EchoCut(prompt.get_skip_len(), exact_len=built.echo_len, counts=EchoCounts())
    shown, cut_out, fed = "", "", list(built.ids)
    for group in cut(ids, list(talk.places)):
        shown += by_ids.feed(group)
        assert truth.startswith(shown)
        fed += group
        cut_out += by_text.feed(tokenizer.decode(fed, skip_special_tokens=True))
        assert truth.startswith(cut_out)
    assert shown + by_ids.finish() == truth
    assert cut_out + by_text.finish() == truth


def stopped_text(text: str, stop: list[str]) -> str:
    """Return a text up to its first stop string, by reading it one character at a time."""
    for end in range(len(text) + 1):
        met = [s for s in stop if text[:end].endswith(s)]
        if met:
            return text[: end - max(len(s) for s in met)]
    return text


few_letters = st.text("ab ", max_size=12)
some_stops = st.lists(st.text("ab ", min_size=1, max_size=4), max_size=3)


@settings(PROFILE, max_examples=examples(200, 1000))
@given(text=few_letters, stop=some_stops, places=st.binary(max_size=6))
def test_stop_strings_do_not_depend_on_where_the_text_is_cut(
    text: str, stop: list[str], places: Sequence[int]
) -> None:
    table = ByteTable.from_tokens([chr(id) for id in range(128)], control=())
    truth = stopped_text(text.lstrip(), stop)

    slicer = Slicer(table, stop=stop)
    shown = ""
    for group in cut([ord(character) for character in text], places):
        shown += slicer.feed(group)
        assert truth.startswith(shown)
    assert slicer.stopped is (truth != text.lstrip())
    assert shown + slicer.finish() == truth


@settings(PROFILE, max_examples=examples(100, 500))
@given(text=few_letters, stop=some_stops)
def test_only_prefixes_of_stop_strings_are_held_back(text: str, stop: list[str]) -> None:
    table = ByteTable.from_tokens([chr(id) for id in range(128)], control=())
    slicer = Slicer(table, stop=stop)

    shown = slicer.feed([ord(character) for character in text])

    held = text.lstrip()[len(shown) :]
    assert slicer.stopped or not held or any(s.startswith(held) for s in stop)


@settings(PROFILE, max_examples=examples(100, 500))
@given(seed=st.integers(0, 2**32), places=st.binary(max_size=6))
def test_random_ids_give_the_text_of_their_bytes(
    tokenizers: Tokenizers, seed: int, places: Sequence[int]
) -> None:
    dice = random.Random(seed)
    some_bytes = range(3, 259)
    any_id = range(tokenizers.model.vocab_size())
    ids = [dice.choice(dice.choice([some_bytes, any_id])) for _ in range(dice.randrange(24))]
    pieces = [tokenizers.model.id_to_piece(id) for id in ids]
    spelled = b"".join(
        b""
        if id in (0, 1, 2)
        else bytes([id - 3])
        if id in some_bytes
        else piece.encode().replace("\u2581".encode(), b" ")
        for id, piece in zip(ids, pieces, strict=True)
    )
    truth = spelled.decode(errors="replace").lstrip()

    slicer = Slicer(tokenizers.table)
    shown = ""
    for group in cut(ids, places):
        shown += slicer.feed(group)
        assert truth.startswith(shown)
    shown += slicer.finish()
    # Only half a character at the end may be missing.
    assert truth.startswith(shown)
    assert len(truth) - len(shown) <= 2
    assert shown.rstrip("\ufffd") == truth.rstrip("\ufffd")
    assert tokenizers.model.is_byte(3)
    assert tokenizers.model.is_byte(258)


@settings(PROFILE, max_examples=examples(100, 500))
@given(reply=replies, after=st.integers(0, 99), stop=st.lists(st.sampled_from(HOSTILE[2:])))
def test_another_worker_continues_with_the_next_slice_after_replaying_the_log(
    tokenizers: Tokenizers, reply: str, after: int, stop: list[str]
) -> None:
    ids = tokenizers.model.encode(reply)
    logged, to_come = cut(ids, [after])
    first, second = Slicer(tokenizers.table, stop=stop), Slicer(tokenizers.table, stop=stop)

    shown = "".join([first.feed([id]) for id in logged])
    assert second.feed(logged) == shown

    for id in to_come:
        assert second.feed([id]) == first.feed([id])
    assert second.finish() == first.finish()
    assert second.stopped is first.stopped
