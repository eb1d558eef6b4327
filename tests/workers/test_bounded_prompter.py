"""A conversation that is far too long is refused, or cut, without being tokenised whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.test_prompter import FakeTokenizer, asked
from turnstream.turns.errors import ContextLengthExceeded
from turnstream.turns.turn import Message
from turnstream.workers.bounded_prompter import BoundedPrompter
from turnstream.workers.prompter import Llama2Prompter

LIMIT = 400
MEGABYTES = "many words " * 700_000


class CountingTokenizer(FakeTokenizer):
    """Counts the characters that it encodes."""

    encoded = 0

    def encode(self, text: str) -> list[int]:
        self.encoded += len(text)
        return super().encode(text)


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", MEGABYTES),),
        (Message("system", MEGABYTES), Message("user", "One?")),
        (Message("user", "One?"), Message("assistant", "One."), Message("user", MEGABYTES)),
        tuple(Message("user", "word " * 1000) for _ in range(1000)),
    ],
    ids=["question", "system", "last", "one request of many messages"],
)
def test_what_cannot_fit_is_refused_after_a_look_at_its_beginning(
    messages: tuple[Message, ...], truncate: bool
) -> None:
    tokenizer = CountingTokenizer()
    prompter = BoundedPrompter(Llama2Prompter(tokenizer), tokenizer)

    with pytest.raises(ContextLengthExceeded, match=f"more than .* at most {LIMIT}"):
        prompter.ids(*asked(*messages, truncate=truncate), limit=LIMIT)

    assert tokenizer.encoded < 50_000


def test_a_long_history_is_cut_without_being_tokenised() -> None:
    tokenizer = CountingTokenizer()
    prompter = BoundedPrompter(Llama2Prompter(tokenizer), tokenizer)
    old = (Message("user", MEGABYTES), Message("assistant", MEGABYTES))
    messages, request = asked(*old, Message("user", "One?"), truncate=True)

    ids = prompter.ids(messages, request, limit=LIMIT)

    assert ids == Llama2Prompter(tokenizer).ids(messages[2:], request, limit=LIMIT)
    assert tokenizer.encoded < 50_000


def test_spaces_around_a_message_count_for_nothing() -> None:
    tokenizer = CountingTokenizer()
    prompter = BoundedPrompter(Llama2Prompter(tokenizer), tokenizer)
    spaced, request = asked(Message("user", " " * 1_000_000 + "One?"))

    assert prompter.ids(spaced, request, limit=LIMIT) == prompter.ids(
        (Message("user", "One?"),), request, limit=LIMIT
    )


def outcome(prompter: Llama2Prompter | BoundedPrompter, *asking: object) -> object:
    messages, request = asking
    try:
        return prompter.ids(messages, request, limit=LIMIT)  # type: ignore[arg-type]
    except ContextLengthExceeded:
        return "too long"


@given(
    lengths=st.lists(st.sampled_from([1, 50, 150, 300, 500, 2000]), min_size=1, max_size=12),
    roles=st.lists(st.sampled_from(["user", "user", "assistant", "system"]), min_size=12),
    truncate=st.booleans(),
)
def test_the_prompt_is_the_same_as_without_a_bound(
    lengths: list[int], roles: list[str], truncate: bool
) -> None:
    spoken = zip(roles, lengths, strict=False)
    messages = [Message(role, "x" * length) for role, length in spoken]  # type: ignore[arg-type]
    # At least one long answer, so that the bound is looked at.
    old = (Message("user", "y"), Message("assistant", "z" * 3000))
    asking = asked(*old, *messages, Message("user", "Well?"), truncate=truncate)
    plain = Llama2Prompter(FakeTokenizer())

    bounded = BoundedPrompter(plain, FakeTokenizer(), free_characters=0)

    assert outcome(bounded, *asking) == outcome(plain, *asking)
