"""Token counts and compacted conversations, as a worker computes them."""

from threading import Event

from tests.workers.test_prompter import LONG, FakeTokenizer
from turnstream.turns.errors import BadRequest
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_count import Count, Question
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, Request
from turnstream.workers.counter import Counter
from turnstream.workers.prompter import Llama2Prompter

CONTEXT = 120


class OneQuestion:
    """Asks once, and records the answer."""

    def __init__(self, question: Question) -> None:
        self.asked: list[Question] = [question]
        self.answered = Event()
        self.answers: list[Count | BadRequest] = []

    def next(self) -> Question | None:
        return self.asked.pop() if self.asked else None

    def answer(self, question: Question, answer: Count | BadRequest) -> None:
        self.answers.append(answer)
        self.answered.set()


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
        assert questions.answered.wait(30)
    finally:
        counter.stop()
    return questions.answers[0]


def tokens_of(*messages: Message, truncate: bool = False, context: int = CONTEXT) -> int:
    count = answer(*messages, truncate=truncate, context=context)
    assert isinstance(count, Count)
    return count.tokens


def test_a_count_is_the_length_of_the_prompt_even_beyond_the_context() -> None:
    # Each character of the prompt is a token here, and one BOS.
    expected = len(prompt_ids("Hi"))
    assert tokens_of(Message("user", "Hi")) == expected
    assert tokens_of(Message("user", "H" * 1000)) == expected + 998


def prompt_ids(text: str) -> list[int]:
    request = Request(instructions=None, sampling=SamplingParams(temperature=0, top_p=1, seed=0))
    return Llama2Prompter(FakeTokenizer()).ids([Message("user", text)], request, limit=10**9)


def test_with_truncation_the_count_is_that_of_the_truncated_prompt() -> None:
    room = tokens_of(*LONG) + 1
    assert tokens_of(*LONG, truncate=True, context=room) == tokens_of(*LONG)
    assert tokens_of(*LONG, truncate=True, context=room - 1) < tokens_of(*LONG)


def test_compacting_keeps_the_latest_turns_that_fill_at_most_half_the_context() -> None:
    said = (Message("system", "Be kind."), *LONG[:4])
    whole = tokens_of(*said, Message("user", "?"))
    for context, kept in ((2 * whole, said), (2 * whole - 2, (said[0], *said[3:]))):
        count = answer(*said, compact=True, context=context)
        assert count == Count(tokens=whole, kept=kept)


def test_compacting_keeps_the_last_turn_if_it_fits_the_context() -> None:
    last = tokens_of(*LONG[2:4], Message("user", "?"))

    count = answer(*LONG[:4], compact=True, context=last + 1)
    assert isinstance(count, Count)
    assert count.kept == LONG[2:4]
    refusal = answer(*LONG[:4], compact=True, context=last)
    assert isinstance(refusal, BadRequest)
    assert refusal.code == "context_length_exceeded"


def test_compacting_keeps_a_greeting_and_never_parts_a_call_from_its_output() -> None:
    greeting = Message("assistant", "Hi!")
    call = FunctionCall(call_id="c", name="f", arguments="{}")
    said: tuple[Item, ...] = (
        *(greeting, *LONG[:2]),
        *(LONG[2], call, FunctionCallOutput(call_id="c", output="7"), LONG[3]),
    )

    whole = answer(*said, compact=True, context=10_000)
    last = answer(*said, compact=True, context=tokens_of(*said[3:], Message("user", "?")) + 1)

    assert isinstance(whole, Count)
    assert whole.kept == said
    assert isinstance(last, Count)
    assert last.kept == said[3:]


def test_the_count_of_a_reply_that_is_continued_ends_with_its_text() -> None:
    shorter, longer = (tokens_of(LONG[0], Message("assistant", text)) for text in ("O", "On"))

    assert longer == shorter + 1
