"""The messages of a whole conversation, from the records of its turns."""

from collections.abc import Sequence

from turnstream.turns.turn import Message, messages_from_json

#: Names a turn's answer among the items that were removed from a conversation.
ANSWER = "answer"


def conversation(history: Sequence[str | bytes], input: str | bytes) -> tuple[Message, ...]:
    """Return the messages of a turn's conversation, oldest first.

    Args:
        history: input, output and removed items of each turn before it, latest turn first.
        input: of the turn itself.
    """
    messages: list[Message] = []
    for at in range(len(history) - 3, -1, -3):
        removed = removed_items(history[at + 2])
        asked = enumerate(messages_from_json(history[at]))
        messages += [message for number, message in asked if str(number) not in removed]
        if ANSWER not in removed:
            messages.append(Message("assistant", _text(history[at + 1])))
    return (*messages, *messages_from_json(input))


def removed_items(field: str | bytes) -> frozenset[str]:
    """Read which items of a turn were removed: numbers of input messages, or `ANSWER`."""
    return frozenset(_text(field).split(","))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
