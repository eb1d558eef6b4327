"""The response object: a turn as a whole, on the wire.

Its JSON is stored without status and error, which change while a turn is queued and runs: a script
in Redis puts them in front. A parameter or field `response` is the JSON after the error, to the
closing brace.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from turnstream.turns.event_json import encode, response_fields_json
from turnstream.turns.ids import call_id, function_call_id, message_id
from turnstream.turns.shapes import (
    ConversationRef,
    Cut,
    FunctionCallItem,
    IncompleteDetails,
    InputTokensDetails,
    MessageItem,
    MessageStatus,
    OutputItem,
    OutputText,
    Response,
    ResponseError,
    ResponseFields,
    TokenLogprob,
    Usage,
)
from turnstream.turns.turn import Tier, Turn

_TIERS: dict[Tier, Literal["priority", "default", "flex"]] = {
    "priority": "priority",
    "default": "default",
    "flex": "flex",
    "batch": "default",
}


class _Output(msgspec.Struct, frozen=True):
    output: tuple[OutputItem, ...] = ()


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def new_response(turn: Turn) -> str:
    """Return a response's JSON when its turn is submitted."""
    request = turn.request
    sampling = request.sampling
    return response_fields_json(
        ResponseFields(
            id=turn.id,
            created_at=turn.created_at,
            background=turn.background,
            conversation=ConversationRef(id=turn.conversation) if turn.conversation else UNSET,
            instructions=request.instructions,
            max_output_tokens=sampling.max_tokens,
            model=turn.model,
            previous_response_id=turn.previous_response_id,
            service_tier=_TIERS[turn.tier],
            store=turn.store,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            truncation="auto" if request.truncate else "disabled",
            metadata=turn.metadata,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            **msgspec.structs.asdict(turn.hints),
            top_logprobs=sampling.top_logprobs or 0,
        )
    )


def finished_response(
    response: str,
    *,
    output: Sequence[OutputItem],
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
            "output": output,
            "completed_at": completed_at,
            "incomplete_details": cut,
            "usage": usage,
        }
    )


def successor_response(response: str, id: str, previous: str) -> str:
    """Return the response of a turn that is to continue an active one, with the same settings.

    It lacks `created_at`, which the script that creates the turn puts in front.
    """
    fields: dict[str, object] = {**_FIELDS.decode("{" + response)}
    del fields["created_at"]
    # As of any turn of a conversation with an id.
    continued = None if "conversation" in fields else previous
    return response_fields_json(fields | {"id": id, "previous_response_id": continued})


def unclaimed_response(response: str) -> str:
    """Return the response of a turn that was steered before a worker had claimed it."""
    return finished_response(
        response,
        output=(),
        incomplete_reason="steered",
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        completed_at=None,
    )


def error_json(code: Literal["server_error", "invalid_prompt"], message: str) -> str:
    """Return the error of a failed response."""
    return encode(ResponseError(code=code, message=message))


def message_item(
    response_id: str, status: MessageStatus, text: str, logprobs: Sequence[TokenLogprob] = ()
) -> MessageItem:
    """Return an answer as the item of a response's output."""
    part = OutputText(text=text, logprobs=tuple(logprobs))
    return MessageItem(id=message_id(response_id), status=status, content=(part,))


def call_item(
    response_id: str, number: int, status: MessageStatus, name: str, arguments: str
) -> FunctionCallItem:
    """Return a call of a tool as an item of a response's output; calls are numbered from 0."""
    return FunctionCallItem(
        id=function_call_id(response_id, number),
        call_id=call_id(response_id, number),
        name=name,
        arguments=arguments,
        status=status,
    )


def output_of(response: str) -> tuple[OutputItem, ...]:
    """Return the items of an ended response's output."""
    return msgspec.json.decode("{" + response, type=_Output).output


def text_of(response: Response) -> str:
    """Return the text of a response's answer."""
    messages = [item for item in response.output if isinstance(item, MessageItem)]
    return "".join(part.text for item in messages for part in item.content)


def without_logprobs(response: str) -> str:
    """Return a whole response without the log probabilities of its output.

    Its other fields are not decoded.
    """
    # Text of users cannot contain this: its quotes are escaped.
    if '"logprobs":[{' not in response:
        return response
    fields = _FIELDS.decode(response)
    output = msgspec.json.decode(fields["output"], type=tuple[OutputItem, ...])
    return encode(fields | {"output": [_bare(item) for item in output]})


def _bare(item: OutputItem) -> OutputItem:
    if not isinstance(item, MessageItem):
        return item
    return replace(item, content=tuple(replace(part, logprobs=()) for part in item.content))
