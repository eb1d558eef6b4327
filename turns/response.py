"""The response object: a turn as a whole, on the wire.

Its JSON is stored without status and error, which change while a turn is queued and runs: a script
in Redis puts them in front. A parameter or field `response` is the JSON after the error, to the
closing brace.
"""

from typing import Literal

import msgspec
from msgspec import UNSET

from turnstream.turns.event_json import encode, response_fields_json
from turnstream.turns.ids import message_id
from turnstream.turns.shapes import (
    ConversationRef,
    Cut,
    IncompleteDetails,
    InputTokensDetails,
    MessageItem,
    MessageStatus,
    OutputText,
    ResponseError,
    ResponseFields,
    Usage,
)
from turnstream.turns.turn import Tier, Turn

_TIERS: dict[Tier, Literal["priority", "default", "flex"]] = {
    "priority": "priority",
    "default": "default",
    "flex": "flex",
    "batch": "default",
}
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def new_response(turn: Turn) -> str:
    """Return a response's JSON when its turn is submitted."""
    sampling = turn.request.sampling
    return response_fields_json(
        ResponseFields(
            id=turn.id,
            created_at=turn.created_at,
            background=turn.background,
            conversation=ConversationRef(id=turn.conversation) if turn.conversation else UNSET,
            instructions=turn.request.instructions,
            max_output_tokens=sampling.max_tokens,
            model=turn.model,
            previous_response_id=turn.previous_response_id,
            service_tier=_TIERS[turn.tier],
            store=turn.store,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            truncation="auto" if turn.request.truncate else "disabled",
            metadata=turn.metadata,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
        )
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
    """Return `response` with what is known of a response at its end.

    Its other fields are not decoded, so fields that a newer release added are kept.
    """
    cut = IncompleteDetails(reason=incomplete_reason) if incomplete_reason else None
    usage = Usage(
        input_tokens=input_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=cached_tokens),
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
    )
    return response_fields_json(
        _FIELDS.decode("{" + response)
        | {
            "output": (item,) if item is not None else (),
            "completed_at": completed_at,
            "incomplete_details": cut,
            "usage": usage,
        }
    )


def error_json(code: Literal["server_error", "invalid_prompt"], message: str) -> str:
    """Return the error of a failed response."""
    return encode(ResponseError(code=code, message=message))


def message_item(response_id: str, status: MessageStatus, text: str) -> MessageItem:
    """Return an answer as the item of a response's output."""
    return MessageItem(id=message_id(response_id), status=status, content=(OutputText(text=text),))
