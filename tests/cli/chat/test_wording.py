"""What is said in words: places, ends, calls, ages and titles."""

import pytest

from turnstream.cli.chat import wording
from turnstream.cli.chat.commands import Typed, read_line
from turnstream.cli.chat.saved import title_of
from turnstream.cli.chat.screen import age
from turnstream.client import QueuePlace, RequestRefused, Response, ToolCall, Unreachable


def response(status: str, **fields: object) -> Response:
    data = {"id": "resp_1", "status": status, "output": [], **fields}
    return Response.of(data)


@pytest.mark.parametrize(
    ("position", "size", "eta", "workers", "said"),
    [
        (3, 5, 12.4, 2, "in the queue: place 3 of 5, about 12 s"),
        (1, 5, 0.2, 2, "in the queue: you are next, any moment"),
        (40, 90, 240, 1, "in the queue: place 40 of 90, about 4 min"),
        (2, 2, None, 1, "in the queue: place 2 of 2"),
        (1, 1, None, 0, "waiting: no worker is running"),
    ],
)
def test_a_place_in_the_queue_is_said_in_words(
    position: int, size: int, eta: float | None, workers: int, said: str
) -> None:
    place = QueuePlace(position=position, size=size, eta_seconds=eta, workers=workers)

    assert wording.place(place) == said


@pytest.mark.parametrize(
    ("ended", "said", "code"),
    [
        (response("completed"), "", 0),
        (response("cancelled"), "The answer was stopped.", 6),
        (
            response("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "The answer was cut: it reached the most tokens that it may have.",
            6,
        ),
        (response("incomplete", incomplete_details={"reason": "new"}), "incomplete: new.", 6),
        (response("failed", error={"code": "server_error", "message": "No."}), "failed: No.", 1),
    ],
)
def test_how_an_answer_ended_is_said_and_is_an_exit_code(
    ended: Response, said: str, code: int
) -> None:
    assert wording.end(ended).endswith(said)
    assert wording.exit_code_of(ended) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestRefused("No.", code="invalid_value", status=400), 2),
        (RequestRefused("No.", code="invalid_api_key", status=401), 2),
        (RequestRefused("No.", code="rate_limit_exceeded", status=429), 1),
        (RequestRefused("No.", code="overloaded", status=503), 1),
        (Unreachable("No."), 1),
    ],
)
def test_an_exit_code_tells_whether_a_repeat_may_help(
    error: RequestRefused | Unreachable, code: int
) -> None:
    assert wording.exit_code_of_error(error) == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"city": "Zürich", "days": 2}', 'get_weather(city="Zürich", days=2)'),
        ('{"city": "Zür', 'get_weather({"city": "Zür)'),
        ("[1]", "get_weather([1])"),
    ],
)
def test_a_call_of_a_tool_is_a_sentence(arguments: str, said: str) -> None:
    called = ToolCall(call_id="call_1", name="get_weather", arguments=arguments)

    assert wording.call(called) == f"The model calls the tool {said}."


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("/open 3", Typed("open", "3")),
        ("/system  Be brief.\nAnd kind.", Typed("system", "Be brief.\nAnd kind.")),
        ("//open 3", "/open 3"),
        ("/etc/passwd is what?", "/etc/passwd is what?"),
        ("What is 1/2?", "What is 1/2?"),
    ],
)
def test_a_line_is_a_command_or_a_message(line: str, read: Typed | str) -> None:
    assert read_line(line) == read


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "just now"), (300, "5 min ago"), (7300, "2 h ago"), (90_000, "yesterday")],
)
def test_an_age_is_said_in_words(seconds: float, said: str) -> None:
    assert age(seconds) == said


def test_a_title_is_the_beginning_of_the_question() -> None:
    assert title_of("What is\n Titanic?") == "What is Titanic?"
    assert title_of("word " * 40) == "word " * 11 + "word…"
