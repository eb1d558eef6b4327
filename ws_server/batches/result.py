"""Writes the results of a batch's lines: an answer, or the reason why there is none.

An answer or a refusal is in `response`, as the endpoint itself sends it; `error` is only for a line
that has no answer for another reason.
"""

import re
from dataclasses import dataclass

import msgspec

from turnstream.turns.batch import EndedTurn, Verdict
from turnstream.turns.errors import (
    BadRequest,
    PreviousResponseNotFound,
    TurnError,
    error_body,
)
from turnstream.turns.event_json import encode, event_type, response_json
from turnstream.turns.event_shapes import ErrorEvent
from turnstream.turns.shapes import Error, Response, ResponseError
from turnstream.ws_server.batches.request import CHAT, TEXT
from turnstream.ws_server.batches.stop import Stop
from turnstream.ws_server.batches.window import Line
from turnstream.ws_server.bodies import ErrorBody
from turnstream.ws_server.chat import completion, in_chat_words
from turnstream.ws_server.completions import completion as text_completion
from turnstream.ws_server.create import Create

_USAGE = re.compile(
    r'"usage":\{"input_tokens":(\d+),"input_tokens_details":\{"cached_tokens":(\d+)'
    r'.*?"output_tokens":(\d+)'
)


_UNEXPLAINED = ResponseError(code="server_error", message="The turn failed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one line, as it is written to the output."""

    number: int
    #: Id of its turn, which is deleted when the line is committed; '' if there is no turn.
    turn: str
    text: bytes
    #: Whether it belongs in the output file; else into the error file.
    answered: bool
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


def ended_result(line: Line, end: EndedTurn | None, endpoint: str, stop: Stop | None) -> Result:
    """Write the result of a line whose turn has ended; `end` is None if the turn was deleted."""
    match end:
        case None:
            return _unanswered(
                line, "response_deleted", "The answer was deleted before it could be written."
            )
        case EndedTurn(status="cancelled"):
            return stopped_result(line, stop)
        case EndedTurn(status="failed"):
            status, error = _failure(end)
            if endpoint == CHAT:
                error = in_chat_words(error)
            return _refused(line, status, error, turn=line.turn)
        case _:
            return _answered(line, end, endpoint)


def stopped_result(line: Line, stop: Stop | None) -> Result:
    """Write the result of a line whose turn was cancelled, or was given up."""
    code, message = "request_cancelled", "This request was cancelled."
    if stop:
        code, message = stop.code, stop.message
    return _unanswered(line, code, message, turn=line.turn)


def rejected_result(line: Line, create: Create, verdict: Verdict, stop: Stop | None) -> Result:
    """Write the result of a line that was not submitted."""
    previous = create.previous_response_id or ""
    match verdict:
        case Verdict.NO_PREVIOUS:
            return refused_result(line, PreviousResponseNotFound(previous))
        case Verdict.PREVIOUS_RUNNING:
            running = BadRequest(
                f"Previous response '{previous}' is still being answered.",
                code="previous_response_running",
                param="previous_response_id",
            )
            return refused_result(line, running)
        case _:
            assert stop is not None
            return _unanswered(line, stop.code, stop.message)


def refused_result(line: Line, error: TurnError) -> Result:
    """Write the result of a line that was refused before it became a turn."""
    return _refused(line, error.status, error_body(error), turn="")


def _answered(line: Line, end: EndedTurn, endpoint: str) -> Result:
    body = response_json(end.status, end.error, end.response)
    if endpoint == CHAT:
        body = encode(completion(msgspec.json.decode(body, type=Response)))
    elif endpoint == TEXT:
        body = encode(text_completion([msgspec.json.decode(body, type=Response)], [""]))
    input_tokens, cached_tokens, output_tokens = usage_of(end.response)
    return Result(
        number=line.position.number,
        turn=line.turn,
        text=_text(line, _response(line, 200, body), "null"),
        answered=True,
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
    )


def _refused(line: Line, status: int, error: Error, *, turn: str) -> Result:
    """Write an error as the endpoint itself would answer it."""
    text = _text(line, _response(line, status, encode(ErrorBody(error=error))), "null")
    return Result(number=line.position.number, turn=turn, text=text, answered=False)


def _unanswered(line: Line, code: str, message: str, *, turn: str = "") -> Result:
    error = encode({"code": code, "message": message})
    text = _text(line, "null", error)
    return Result(number=line.position.number, turn=turn, text=text, answered=False)


def usage_of(response: str) -> tuple[int, int, int]:
    """Return a stored response's input, cached and output tokens, without parsing its text.

    A text can't be taken for the usage: inside a JSON string its quotes are escaped.
    """
    usage = _USAGE.search(response)
    if usage is None:
        return 0, 0, 0
    return int(usage[1]), int(usage[2]), int(usage[3])


def _failure(end: EndedTurn) -> tuple[int, Error]:
    if end.last and event_type(end.last) == b"error":
        last = msgspec.json.decode(end.last, type=ErrorEvent)
        return last.status, last.error
    why = msgspec.json.decode(end.error, type=ResponseError | None) or _UNEXPLAINED
    return 500, Error(type="server_error", code=why.code, message=why.message, param=None)


def _response(line: Line, status: int, body: str) -> str:
    request = "req_" + line.turn.removeprefix("resp_")
    return f'{{"status_code":{status},"request_id":"{request}","body":{body}}}'


def _text(line: Line, response: str, error: str) -> bytes:
    name = "batch_req_" + line.turn.removeprefix("resp_")
    custom_id = encode(line.custom_id)
    text = f'{{"id":"{name}","custom_id":{custom_id},"response":{response},"error":{error}}}\n'
    return text.encode()
