"""Writes a line of a batch's output: the answer to one request, or why there is none."""

import json
import re
from dataclasses import dataclass
from typing import Any

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import response_json
from turnstream.turns.feed import Ended
from turnstream.turns.shapes import Error
from turnstream.ws_server.batches.request import CHAT
from turnstream.ws_server.chat import completion

#: Found only where it is meant: inside a text its quotes would be escaped.
_USAGE = re.compile(
    r'"usage":\{"input_tokens":(\d+),"input_tokens_details":\{"cached_tokens":(\d+)'
    r'.*?"output_tokens":(\d+)'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the output."""

    number: int
    #: The turn that it is the end of, to be forgotten; '' if none was made.
    turn: str
    text: bytes
    #: Whether it is an answer; else it belongs among the errors.
    good: bool
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


def result_of(end: Ended, number: int, custom_id: str, endpoint: str) -> Result:
    """Write how a turn ended that was not stopped."""
    if end.status == "failed":
        status, error = _failure(end)
        return refused(end.id, number, custom_id, status, error)
    body = response_json(end.status, end.error, end.rest)
    if endpoint == CHAT:
        body = json.dumps(completion(json.loads(body)), ensure_ascii=False, separators=(",", ":"))
    usage = _USAGE.search(end.rest)
    tokens = [int(count) for count in usage.groups()] if usage else [0, 0, 0]
    return Result(
        number=number,
        turn=end.id,
        text=_line(end.id, custom_id, _response(end.id, 200, body), "null"),
        good=True,
        input_tokens=tokens[0],
        cached_tokens=tokens[1],
        output_tokens=tokens[2],
    )


def refusal(id: str, number: int, custom_id: str, error: TurnError) -> Result:
    """Write that a request was refused before it became a turn."""
    return refused("", number, custom_id, error.status, error_body(error), request=id)


def refused(
    turn: str,
    number: int,
    custom_id: str,
    status: int,
    error: Error,
    *,
    request: str = "",
) -> Result:
    """Write an error as the endpoint itself would have answered it."""
    body = json.dumps({"error": error}, ensure_ascii=False)
    id = request or turn
    text = _line(id, custom_id, _response(id, status, body), "null")
    return Result(number=number, turn=turn, text=text, good=False)


def never_ran(
    id: str, number: int, custom_id: str, code: str, message: str, *, turn: str = ""
) -> Result:
    """Write that a request was not carried out, or not to its end."""
    error = json.dumps({"code": code, "message": message}, ensure_ascii=False)
    text = _line(id, custom_id, "null", error)
    return Result(number=number, turn=turn, text=text, good=False)


def _failure(end: Ended) -> tuple[int, Error]:
    last: dict[str, Any] = json.loads(end.last) if end.last else {}
    if last.get("type") == "error":
        return last["status"], last["error"]
    why = json.loads(end.error) or {"code": "server_error", "message": "The turn failed."}
    error: Error = {
        "type": "server_error",
        "code": why["code"],
        "message": why["message"],
        "param": None,
    }
    return 500, error


def _response(id: str, status: int, body: str) -> str:
    request = "req_" + id.removeprefix("resp_")
    return f'{{"status_code":{status},"request_id":"{request}","body":{body}}}'


def _line(id: str, custom_id: str, response: str, error: str) -> bytes:
    name = "batch_req_" + id.removeprefix("resp_")
    told_by = json.dumps(custom_id, ensure_ascii=False)
    return (
        f'{{"id":"{name}","custom_id":{told_by},"response":{response},"error":{error}}}\n'.encode()
    )
