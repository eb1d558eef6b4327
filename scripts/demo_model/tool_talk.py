"""Writes conversations with tools as the service does, by its own functions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.demo_model.corpus import Conversation, Turn
from scripts.demo_model.manner import System
from scripts.demo_model.offered_tools import Arguments
from turnstream.prompts import SYSTEM_PROMPT
from turnstream.prompts.tools import CALL_FORMATS, Offer, ToolFormat
from turnstream.prompts.tools.told import system_text
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message
from turnstream.workers.prompter import joined

_FORMAT = CALL_FORMATS[ToolFormat.TURNSTREAM]


@dataclass(frozen=True, slots=True)
class Called:
    """One call, what it returned, and how the model says that."""

    name: str
    arguments: Arguments
    output: str
    said: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the calls that answer it; none: the reply does."""

    question: str
    calls: tuple[Called, ...] = ()
    reply: str = ""
    complete: bool = True


def conversation(
    system: System, offer: Offer, asked: Sequence[Asked], *, calls_last: bool = False
) -> Conversation:
    """Write a conversation as the service does.

    Args:
        calls_last: it ends in the calls of its last question, if there are any.
    """
    text = f"{system.text or SYSTEM_PROMPT}\n\n{system_text(offer)}"
    items: list[Item] = []
    #: Whether each reply is learnt, and the text of the last.
    learnt: list[bool] = []
    last = ""
    for number, one in enumerate(asked):
        items.append(Message("user", one.question))
        ends = calls_last and number == len(asked) - 1
        groups = [one.calls] if offer.parallel else [(call,) for call in one.calls]
        for group in filter(None, groups):
            last = _FORMAT.written(*((c.name, _arguments(c)) for c in group))
            # In the history several calls of one reply are further apart than in the reply.
            learnt.append(ends or len(group) == 1)
            ids = [f"call_{len(items) + at}" for at in range(len(group))]
            items += [
                FunctionCall(call_id=id, name=call.name, arguments=_arguments(call))
                for id, call in zip(ids, group, strict=True)
            ]
            if ends:
                break
            items += [
                FunctionCallOutput(call_id=id, output=call.output)
                for id, call in zip(ids, group, strict=True)
            ]
        if not (ends and one.calls):
            last = " ".join(call.said for call in one.calls) or one.reply
            learnt.append(one.complete or bool(one.calls))
            items.append(Message("assistant", last))
    messages = joined(items, tools=True)
    requests = [message.text for message in messages if message.role == "user"]
    replies = [message.text for message in messages if message.role == "assistant"]
    turns = [
        Turn(request, reply, complete)
        for request, reply, complete in zip(requests, replies, learnt, strict=True)
    ]
    turns[-1] = Turn(turns[-1].question, last, turns[-1].complete)
    return Conversation(System(text, system.manner), tuple(turns))


def _arguments(call: Called) -> str:
    return json.dumps(call.arguments, ensure_ascii=False)
