"""The events of an answer with calls of tools, from one attempt or several."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.workers.attempts import CANCELLED, ID, STOP
from turnstream.prompts.tools import CALL_FORMATS, NamedTool, Tool, ToolFormat
from turnstream.turns.log import Append, Final
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.turns.turn import Claimed, FunctionCall, Message, Request, items_from_json
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.attempt import Attempt
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.slicer import Slicer
from turnstream.workers.tool_use import ToolUse

FORM = CALL_FORMATS[ToolFormat.HERMES]
#: A token for each byte, after three control tokens.
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
TABLE = ByteTable.from_tokens(TOKENS, {0, 1, 2})
USE = ToolUse(
    FORM,
    control_ids={},
    make_slicer=lambda ids, stop, *, begun=False: Slicer(TABLE, stop=stop, begun=begun),
    vocabulary=Vocabulary(TABLE, TOKENS),
)
REQUEST = Request(
    instructions=None,
    sampling=SamplingParams(temperature=0),
    tools=(Tool(name="add"), Tool(name="greet")),
)
ADD, GREET = '{"a": 1, "b": [2]}', '{"to": "Zoë 😀"}'
TWO = f"I will.\n{FORM.written(('add', ADD), ('greet', GREET))}"
LENGTH = Finish(FinishReason.LENGTH)


def ids_of(text: str) -> list[int]:
    return [3 + byte for byte in text.encode()]


def claimed(request: Request, *, attempt: int = 1, seq: int = 2, logged: Any = ()) -> Claimed:
    return Claimed(
        id=ID,
        attempt=attempt,
        seq=seq,
        request=request,
        messages=(Message("user", "Hi"),),
        response=f'"id":"{ID}","output":[],"usage":null}}',
        token_ids=tuple(logged),
        logprobs=tuple(map(logprob, logged)) if request.sampling.top_logprobs is not None else (),
    )


def logprob(id: int) -> TokenLogprobs:
    return TokenLogprobs(chosen=-id / 100, top=())


def reader_of(request: Request) -> AnswerReader:
    assert request.offer is not None
    return USE.reader((), request, request.offer, begun=False)


class Log:
    """What attempts at one turn write."""

    def __init__(self, request: Request = REQUEST) -> None:
        self.request = request
        self.attempts = 0
        self.events: list[dict[str, Any]] = []
        self.ids: list[int] = []
        self.final: Final | None = None

    def claim(self) -> Attempt:
        self.attempts += 1
        turn = claimed(
            self.request, attempt=self.attempts, seq=2 + len(self.events), logged=self.ids
        )
        return Attempt(turn, reader_of(self.request), vocabulary=USE.vocabulary)

    def write(self, part: Append | None) -> None:
        if part is None:
            return
        assert part.first == 3 + len(self.events)
        for entry in part.entries:
            self.events.append(json.loads(entry.event))
            self.ids += entry.token_ids
        if isinstance(part.final, Final):
            self.final = part.final

    def run(
        self, text: str, *, step: int = 1, until: int | None = None, end: Finish = STOP
    ) -> None:
        """Run an attempt that says the rest of a text; `until` so many ids, and then it is lost."""
        attempt = self.claim()
        ids = ids_of(text)
        for at in range(len(self.ids), len(ids), step):
            if until is not None and at >= until:
                return
            some = ids[at : at + step]
            if self.request.sampling.top_logprobs is not None:
                attempt.on_logprobs([logprob(id) for id in some])
            attempt.on_step(some, None)
            self.write(attempt.take())
        if end == CANCELLED:
            attempt.cancel()
        attempt.on_step((), end)
        self.write(attempt.take())

    @property
    def output(self) -> list[dict[str, Any]]:
        output: list[dict[str, Any]] = self.events[-1]["response"]["output"]
        return output


def answered(text: str, request: Request = REQUEST, **how: Any) -> Log:
    log = Log(request)
    log.run(text, **how)
    return log


def items_read(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the items together as a client does, and check each event against those before it."""
    items: list[dict[str, Any]] = []
    open_item: dict[str, Any] = {}
    for at, event in enumerate(events):
        assert event["sequence_number"] == 3 + at
        match event["type"].removeprefix("response."):
            case "output_item.added":
                assert not open_item
                assert event["output_index"] == len(items)
                open_item = event["item"] | {"said": ""}
            case "output_text.delta" | "function_call_arguments.delta":
                assert (event["item_id"], event["output_index"]) == (open_item["id"], len(items))
                open_item["said"] += event["delta"]
            case "output_text.done":
                assert event["text"] == open_item["said"]
            case "function_call_arguments.done":
                assert event["arguments"] == open_item["said"]
                assert event["name"] == open_item["name"]
            case "output_item.done":
                assert (event["item"]["id"], event["output_index"]) == (
                    open_item["id"],
                    len(items),
                )
                items.append(event["item"])
                open_item = {}
    return items


def test_text_and_two_calls_are_three_items() -> None:
    log = answered(TWO)
    message, add, greet = items_read(log.events)

    assert log.events[-1]["type"] == "response.completed"
    assert log.output == [message, add, greet]
    assert message["content"][0]["text"] == "I will."
    assert (add["name"], add["arguments"], add["status"]) == ("add", ADD, "completed")
    assert (greet["name"], greet["arguments"], greet["status"]) == ("greet", GREET, "completed")
    assert len({add["id"], greet["id"], add["call_id"], greet["call_id"]}) == 4


def test_the_record_keeps_the_text_and_the_calls() -> None:
    final = answered(TWO).final

    assert final is not None
    assert final.text == "I will."
    calls = items_from_json(final.calls)
    assert all(isinstance(call, FunctionCall) for call in calls)
    assert [(call.name, call.arguments) for call in calls] == [  # type: ignore[union-attr]
        ("add", ADD),
        ("greet", GREET),
    ]


def test_the_arguments_of_a_call_come_while_they_are_written() -> None:
    attempt = Log().claim()
    attempt.on_step(ids_of(TWO[: TWO.index("[2]")]), None)
    part = attempt.take()

    assert part is not None
    *_, last = [json.loads(entry.event) for entry in part.entries]
    assert (last["type"], last["delta"]) == (
        "response.function_call_arguments.delta",
        '{"a": 1, "b": ',
    )


@pytest.mark.parametrize("top_logprobs", [None, 0])
def test_another_attempt_goes_on_in_the_same_call_wherever_the_first_was_lost(
    top_logprobs: int | None,
) -> None:
    request = replace(REQUEST, sampling=SamplingParams(temperature=0, top_logprobs=top_logprobs))
    whole = answered(TWO, request)
    for cut in range(1, len(ids_of(TWO)), 3):
        log = Log(request)
        log.run(TWO, step=2, until=cut)
        log.run(TWO, step=5, until=cut + 9)
        log.run(TWO)

        # Nothing is said twice, and nothing is left out.
        assert items_read(log.events) == items_read(whole.events)
        assert log.output == whole.output
        assert log.final is not None
        assert whole.final is not None
        assert (log.final.text, log.final.calls) == (whole.final.text, whole.final.calls)


@pytest.mark.parametrize("end", [LENGTH, CANCELLED])
def test_a_call_that_was_cut_is_incomplete(end: Finish) -> None:
    log = answered(TWO[: TWO.index("[2]")], end=end)
    message, add = items_read(log.events)

    assert log.events[-1]["type"] == "response.incomplete"
    assert (message["status"], add["status"]) == ("completed", "incomplete")
    assert add["arguments"] == '{"a": 1, "b": '
    assert log.output == [message, add]


def test_a_mark_that_was_cut_is_not_shown() -> None:
    log = answered(TWO[: TWO.index("call>")], end=LENGTH)

    [message] = items_read(log.events)
    assert (message["content"][0]["text"], message["status"]) == ("I will.", "incomplete")


def test_a_failure_keeps_what_was_said() -> None:
    log = answered(TWO[: TWO.index("[2]")], end=Finish(FinishReason.ERROR, "lost"))

    assert log.events[-1]["type"] == "response.failed"
    assert [item["status"] for item in log.output] == ["completed", "incomplete"]


def test_the_engine_is_told_to_stop_after_the_only_call_that_there_may_be() -> None:
    log = Log(replace(REQUEST, tool_choice=NamedTool("add")))
    attempt = log.claim()
    attempt.on_step(ids_of(FORM.written(("add", ADD)) + " It returned 3."), None)
    log.write(attempt.take())
    attempt.on_step((), CANCELLED)
    log.write(attempt.take())

    [call] = items_read(log.events)
    assert (call["arguments"], call["status"]) == (ADD, "completed")
    assert log.events[-1]["type"] == "response.completed"


def test_a_stop_string_ends_text_but_no_call() -> None:
    request = replace(REQUEST, stop=("will", "[2"))

    [message] = items_read(answered(TWO, request, end=CANCELLED).events)
    assert message["content"][0]["text"] == "I "
    [call] = items_read(answered(FORM.written(("add", ADD)), request).events)
    assert call["arguments"] == ADD


def test_the_logprobs_of_a_message_before_a_call_are_those_of_its_text() -> None:
    request = replace(REQUEST, sampling=SamplingParams(temperature=0, top_logprobs=0))
    message, *_ = items_read(answered(TWO, request, step=4).events)
    [part] = message["content"]

    assert bytes(byte for each in part["logprobs"] for byte in each["bytes"]) == b"I will."


def test_a_steered_answer_is_cut_before_a_call_and_never_in_one() -> None:
    ends = []
    for shown in ("I will.", f"I will.\n{FORM.written(('add', ADD))}"[:-12]):
        log = Log()
        attempt = log.claim()
        attempt.on_step(ids_of(shown), None)
        log.write(attempt.take())
        attempt.steer()
        rest = ids_of(f"I will.\n{FORM.written(('add', ADD))}"[len(shown) :])
        log.write(attempt.take())
        attempt.on_step(rest, STOP)
        log.write(attempt.take())
        assert log.final is not None
        ends.append((log.final.status, bool(log.final.calls)))

    assert ends == [("incomplete", False), ("completed", True)]
