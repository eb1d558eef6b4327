"""The response object: a turn as a whole, on the wire.

Its JSON is kept without status and error, the two that change while a turn waits and runs: a script
in Redis puts them in front. A parameter or field `response` is the JSON after the error, to the
closing brace.
"""

from typing import Literal

import msgspec

from turnstream.turns.event_json import encode, response_fields_json
from turnstream.turns.ids import message_id
from turnstream.turns.shapes import (
    Cut,
    MessageItem,
    MessageStatus,
    OutputText,
    ResponseError,
    ResponseFields,
)
from turnstream.turns.turn import Tier, Turn

_TIERS: dict[Tier, Literal["priority", "default", "flex"]] = {
    "priority": "priority",
    "default": "default",
    "flex": "flex",
    "batch": "default",
}


def new_response(turn: Turn) -> str:
    """Return a response's JSON when its turn is submitted."""
    return response_fields_json(
        {
            "id": turn.id,
            "object": "response",
            "created_at": turn.created_at,
            "completed_at": None,
            "background": turn.background,
            "incomplete_details": None,
            "instructions": turn.request.instructions,
            "max_output_tokens": turn.request.sampling.max_tokens,
            "max_tool_calls": None,
            "model": turn.model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": turn.previous_response_id,
            "reasoning": None,
            "service_tier": _TIERS[turn.tier],
            "store": turn.store,
            "temperature": turn.request.sampling.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": turn.request.sampling.top_p,
            "truncation": "auto" if turn.request.truncate else "disabled",
            "usage": None,
            "metadata": turn.metadata,
            "presence_penalty": turn.request.sampling.presence_penalty,
            "frequency_penalty": turn.request.sampling.frequency_penalty,
            "safety_identifier": None,
            "prompt_cache_key": None,
        }
    )


def finished_response(
    response: str,
    *,
    item: MessageItem | None,
    incomplete_reason: Cut | None,
    input_tokens: int,
    cached_tokens: int,
    output_tokens: int,
    completed_at: int | None,
) -> str:
    """Return a response's JSON at its end."""
    body: ResponseFields = msgspec.json.decode("{" + response)
    body["output"] = [item] if item is not None else []
    body["completed_at"] = completed_at
    body["incomplete_details"] = {"reason": incomplete_reason} if incomplete_reason else None
    body["usage"] = {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }
    return response_fields_json(body)


def error_json(code: Literal["server_error", "invalid_prompt"], message: str) -> str:
    """Return the error of a failed response as JSON."""
    error: ResponseError = {"code": code, "message": message}
    return encode(error)


def message_item(response_id: str, status: MessageStatus, text: str) -> MessageItem:
    """Return an answer as the item of a response's output."""
    return {
        "id": message_id(response_id),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [output_text(text)],
    }


def output_text(text: str) -> OutputText:
    """Return text as a part of an item."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
