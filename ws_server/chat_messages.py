"""Turn the `messages` of a chat completion request into the items of a conversation.

As lenient as `items.py` on what was said before. A message may hold several items: a text, and
calls of tools.
"""

import json
from collections.abc import Iterator, Sequence

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, spoken_at
from turnstream.ws_server import content
from turnstream.ws_server.field import wrong
from turnstream.ws_server.input_items import CalledFunction, ChatMessage, Content
from turnstream.ws_server.items import Input


def read_messages(messages: Sequence[ChatMessage]) -> Input:
    """Read the messages of a request."""
    items: list[Item] = []
    last_user: tuple[str, Content] | None = None
    for number, message in enumerate(messages):
        if message.role == "user":
            last_user = f"messages[{number}].content", message.content
        items += _items(message)
    return Input(tuple(items), last_user=last_user)


def continued(
    items: tuple[Item, ...],
    *,
    continue_final_message: bool | None,
    add_generation_prompt: bool | None,
) -> tuple[Item, ...]:
    """Return the items as the model is to go on from them, by two fields that vLLM has.

    By default a conversation that ends in a reply is continued. Where a new reply is wanted, an
    empty request asks for it.

    Raises:
        BadRequest: the fields contradict each other, or there is no reply to continue.
    """
    at = spoken_at(items)
    last = None if at is None else items[at]
    reply = isinstance(last, Message) and last.role == "assistant"
    if continue_final_message and add_generation_prompt:
        raise BadRequest(
            "'continue_final_message' and 'add_generation_prompt' can't both be true.",
            param="continue_final_message",
        )
    if continue_final_message and not reply:
        raise wrong("continue_final_message", "false: the last message is not an assistant's")
    if add_generation_prompt is False and not reply:
        raise wrong("add_generation_prompt", "true: the last message is not an assistant's")
    if reply and (continue_final_message is False or add_generation_prompt):
        return (*items, Message("user", ""))
    return items


def _items(message: ChatMessage) -> Iterator[Item]:
    text = content.text_of(message.content)
    match message.role:
        case "system" | "developer":
            yield Message("system", text)
        case "user":
            yield Message("user", text)
        case "tool" | "function":
            output = content.text_of(message.content, between="\n")
            # The older form has no id: the name of the function joins an output to its call.
            call_id = message.tool_call_id or message.name or ""
            yield FunctionCallOutput(call_id=call_id, output=output)
        case "assistant":
            if text := text + (message.refusal or ""):
                yield Message("assistant", text)
            yield from _calls(message)


def _calls(message: ChatMessage) -> Iterator[FunctionCall]:
    for call in message.tool_calls or ():
        if call.function is not None:
            yield _call(call.id, call.function)
        elif call.custom is not None:
            yield FunctionCall(call_id=call.id, name=call.custom.name, arguments=call.custom.input)
    if message.function_call is not None:
        yield _call(message.function_call.name, message.function_call)


def _call(call_id: str, called: CalledFunction) -> FunctionCall:
    arguments = called.arguments
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments or {}, ensure_ascii=False)
    return FunctionCall(call_id=call_id, name=called.name, arguments=arguments)
