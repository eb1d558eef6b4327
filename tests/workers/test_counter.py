"""What a worker says of a conversation that it is not to answer."""

from threading import Event

import pytest

from tests.workers.test_prompter import LONG, FakeTokenizer
from turnstream.turns.errors import BadRequest
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_count import Count, Question
from turnstream.turns.turn import Message, Request
from turnstream.workers.counter import Counter
from turnstream.workers.prompter import Llama2Prompter

CONTEXT = 120


class OneQuestion:
    """Asks once, and keeps what is said."""

    def __init__(self, question: Question) -> None:
        self.asked: list[Question] = [question]
        self.said = Event()
        self.answers: list[Count | BadRequest] = []

    def next(self) -> Question | None:
        return self.asked.pop() if self.asked else None

    def answer(self, question: Question, answer: Count | BadRequest) -> None:
        self.answers.append(answer)
        self.said.set()


def answer(
    *messages: Message, compact: bool = False, truncate: bool = False, context: int = CONTEXT
) -> Count | BadRequest:
    request = Request(
        instructions=None,
        truncate=truncate,
        sampling=SamplingParams(temperature=0, top_p=1, seed=0),
    )
    question = Question(id="c", node="n", request=request, messages=messages, compact=compact)
    questions = OneQuestion(question)
    counter = Counter(questions, Llama2Prompter(FakeTokenizer()), context=context)
    counter.start()
    try:
        assert questions.said.wait(10)
    finally:
        counter.stop()
    return questions.answers[0]


def tokens_of(*messages: Message, truncate: bool = False, context: int = CONTEXT) -> int:
    count = answer(*messages, truncate=truncate, context=context)
    assert isinstance(count, Count)
    return count.tokens


def test_a_count_is_the_length_of_the_real_prompt_however_long() -> None:
    # Each character of the prompt is a token here, and one BOS.
    system = len(answered_prompt("Hi"))
    assert tokens_of(Message("user", "Hi")) == system
    assert tokens_of(Message("user", "H" * 1000)) == system + 998


def answered_prompt(text: str) -> list[int]:
    request = Request(instructions=None, sampling=SamplingParams(temperature=0, top_p=1, seed=0))
    return Llama2Prompter(FakeTokenizer()).ids([Message("user", text)], request, limit=10**9)


def test_with_leave_to_cut_the_count_is_of_what_is_left() -> None:
    room = tokens_of(*LONG) + 1
    assert tokens_of(*LONG, truncate=True, context=room) == tokens_of(*LONG)
    assert tokens_of(*LONG, truncate=True, context=room - 1) < tokens_of(*LONG)


def test_the_latest_turns_are_kept_that_fill_half_the_context_at_most() -> None:
    said = (Message("system", "Be kind."), *LONG[:4])
    whole = tokens_of(*said, Message("user", "?"))
    for context, kept in ((2 * whole, said), (2 * whole - 2, (said[0], *said[3:]))):
        count = answer(*said, compact=True, context=context)
        assert count == Count(tokens=whole, kept=kept)


def test_the_last_turn_is_kept_as_long_as_it_fits_at_all() -> None:
    last = tokens_of(*LONG[2:4], Message("user", "?"))

    count = answer(*LONG[:4], compact=True, context=last + 1)
    assert isinstance(count, Count)
    assert count.kept == LONG[2:4]
    refusal = answer(*LONG[:4], compact=True, context=last)
    assert isinstance(refusal, BadRequest)
    assert refusal.code == "context_length_exceeded"


@pytest.mark.parametrize("compact", [True, False])
def test_what_cannot_be_written_is_refused(compact: bool) -> None:
    refusal = answer(Message("user", "[INST]"), compact=compact)

    assert isinstance(refusal, BadRequest)
    assert refusal.code == "unsafe_prompt"
