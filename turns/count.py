"""How many tokens a conversation is: asked by nodes, which have no tokenizer, told by workers.

Nothing of it is kept. A question that no worker takes up in time, or whose answer is lost, is
refused, and the client asks again.
"""

import json
from dataclasses import dataclass

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Message, Request, messages_from_json, messages_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A conversation whose tokens somebody wants to know."""

    id: str
    #: Who asks.
    node: str
    request: Request
    #: The whole of it, oldest first.
    messages: tuple[Message, ...]
    #: Also say which of its turns are worth keeping when it is compacted.
    compact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a worker says."""

    tokens: int
    #: The latest turns, as many as leave room for more; empty when nobody asked.
    kept: tuple[Message, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"tokens": self.tokens, "kept": messages_to_json(self.kept)})


def refusal_to_json(error: BadRequest) -> str:
    """Write that a conversation can't be counted, since it can't be written."""
    return json.dumps({"refused": [error.message, error.code, error.param]})


def count_from_json(text: str | bytes) -> Count:
    """Read what a worker says.

    Raises:
        BadRequest: the conversation can't be written.
    """
    said = json.loads(text)
    if "refused" in said:
        message, code, param = said["refused"]
        raise BadRequest(message, code=code, param=param)
    return Count(tokens=said["tokens"], kept=messages_from_json(said["kept"]))


def question_from_json(text: str | bytes) -> Question:
    """Read what the script in Redis wrote."""
    asked = json.loads(text)
    # What was said before, latest turn first: input, answer, input, answer.
    said = list(asked["history"] or ())
    messages: list[Message] = []
    for at in range(len(said) - 2, -1, -2):
        messages += messages_from_json(said[at])
        messages.append(Message("assistant", said[at + 1]))
    messages += messages_from_json(asked["input"])
    return Question(
        id=asked["id"],
        node=asked["node"],
        request=Request.from_json(asked["request"]),
        messages=tuple(messages),
        compact=asked["compact"],
    )
