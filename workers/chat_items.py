"""Items of a conversation as chat templates take them that know tools."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, assert_never

from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message

#: A message of a chat template: its role, its content, and what belongs to calls of tools.
ChatDict = dict[str, Any]
_SEPARATOR = "\n\n"


def has_calls(items: Iterable[Item]) -> bool:
    """Return whether a conversation has calls of tools, or what they returned."""
    return any(not isinstance(item, Message) for item in items)


def chat_dicts(items: Iterable[Item], *, one_call: bool) -> list[ChatDict]:
    """Return requests, replies with their calls, and outputs; the system's messages are left out.

    Args:
        one_call: a message has one call at most, as some templates want it.
    """
    result: list[ChatDict] = []
    names: dict[str, str] = {}
    for item in items:
        last = result[-1] if result else None
        match item:
            case Message("system"):
                pass
            case Message(role, text):
                said = text.strip()
                if role == "assistant" and not said:
                    continue
                if last is not None and last["role"] == role and "tool_calls" not in last:
                    texts = (last["content"], said)
                    last["content"] = _SEPARATOR.join(each for each in texts if each)
                else:
                    result.append({"role": role, "content": said})
            case FunctionCall():
                names[item.call_id] = item.name
                if (
                    last is None
                    or last["role"] != "assistant"
                    or (one_call and "tool_calls" in last)
                ):
                    last = {"role": "assistant", "content": ""}
                    result.append(last)
                last.setdefault("tool_calls", []).append(_call(item))
            case FunctionCallOutput():
                output = {"role": "tool", "content": item.output, "tool_call_id": _id(item.call_id)}
                result.append(output | {"name": names.get(item.call_id, "")})
            case _:
                assert_never(item)
    return result


def _call(call: FunctionCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = call.arguments
    function = {"name": call.name, "arguments": arguments}
    return {"id": _id(call.call_id), "type": "function", "function": function}


def _id(call_id: str) -> str:
    # Mistral's templates take ids of nine characters from A-Z, a-z and 0-9 only.
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]
