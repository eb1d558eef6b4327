"""`POST /v1/chat/completions`: for clients that speak the older protocol.

Underneath it is a turn like any other. Its id is the response's with another beginning, so that it
can be looked up, stopped and read again as one.
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from turns.errors import TurnError, error_body
from turns.front import Front
from ws_server.chat_request import read_chat
from ws_server.create import with_key
from ws_server.directory import Directory
from ws_server.event_stream import EventStream
from ws_server.http import last_event, read_body
from ws_server.wire import read_json, refused

Json = dict[str, Any]


async def create_completion(request: Request) -> Response:
    """Answer with the whole completion, or with `stream` a piece at a time."""
    owner = request.app.state.access.admit(request).owner
    front: Front = request.app.state.front
    directory: Directory = request.app.state.directory
    chat = read_chat(read_json(await read_body(request)))
    create = with_key(chat.create, request.headers.get("idempotency-key"))
    turn = create.turn(owner, await directory.find(create.model), parent_cached=False)
    if chat.stream:
        return EventStream(front, front.submit(turn), ChatWire(include_usage=chat.include_usage))
    end = await last_event(request, front.submit(turn))
    if end["type"] == "error":
        return refused(end)
    response = end["response"]
    if response["status"] == "failed":
        return refused({"error": _failure(response)})
    return JSONResponse(completion(response))


def completion(response: Json) -> Json:
    """Write an ended response as a completion."""
    text = "".join(part["text"] for item in response["output"] for part in item["content"])
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(response),
    }
    return _head(response, "chat.completion") | {"choices": [choice], "usage": _usage(response)}


class ChatWire:
    """Writes the events of a turn as chunks of a completion."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: Json = {}
        self._ended = False

    def event(self, event: bytes) -> bytes:
        """Write what a chat client can use of an event."""
        read: Json = json.loads(event)
        match read["type"]:
            case "response.created":
                self._head = _head(read["response"], "chat.completion.chunk")
                if self._include_usage:
                    # As the official service does: null in all chunks but the last.
                    self._head["usage"] = None
                return self._chunk({"role": "assistant", "content": ""})
            case "response.queued":
                return f": queued position={read['queue']['position']}\n\n".encode()
            case "response.output_text.delta":
                return self._chunk({"content": read["delta"]})
            case "error":
                return _data({"error": read["error"]})
            case "response.failed":
                return _data({"error": _failure(read["response"])})
            case "response.completed" | "response.incomplete":
                return self._end(read["response"])
            case _:
                return b""

    def error(self, error: TurnError) -> bytes:
        """Write what ended the stream before the turn did."""
        return _data({"error": error_body(error)})

    def end(self) -> bytes:
        """Write what comes after a whole answer; one that failed is not whole."""
        return b"data: [DONE]\n\n" if self._ended else b""

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _data(self._head | {"choices": [choice]})

    def _end(self, response: Json) -> bytes:
        written = self._chunk({}, _finish_reason(response))
        if self._include_usage:
            written += _data(self._head | {"choices": [], "usage": _usage(response)})
        self._ended = True
        return written


def _head(response: Json, kind: str) -> Json:
    return {
        "id": "chatcmpl-" + response["id"].removeprefix("resp_"),
        "object": kind,
        "created": response["created_at"],
        "model": response["model"],
        "service_tier": response["service_tier"],
    }


def _finish_reason(response: Json) -> str:
    return "length" if response["status"] == "incomplete" else "stop"


def _usage(response: Json) -> Json:
    usage = response["usage"]
    if usage is None:
        # It was cancelled before anything was done for it.
        usage = {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        }
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": usage["input_tokens_details"]["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _failure(response: Json) -> Json:
    error = response["error"]
    return {
        "type": "server_error",
        "code": error["code"],
        "message": error["message"],
        "param": None,
    }


def _data(body: Json) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
