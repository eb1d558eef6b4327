"""The items of a whole conversation, from the records of its turns."""

from collections.abc import Sequence

from turnstream.turns.turn import Item, Message, items_from_json, spoken_at


def conversation(history: Sequence[str | bytes], input: str | bytes) -> tuple[Item, ...]:
    """Return the items of a turn's conversation, oldest first.

    Args:
        history: input, text and calls of each turn before it, latest turn first; calls may be
            empty.
        input: of the turn itself.
    """
    items: list[Item] = []
    for at in range(len(history) - 3, -1, -3):
        asked, text, calls = history[at : at + 3]
        items += items_from_json(asked)
        add_reply(items, _text(text))
        items += items_from_json(calls) if calls else ()
    return (*items, *items_from_json(input))


def add_reply(items: list[Item], text: str) -> None:
    """Add the text that was generated for a conversation: it may go on from the last reply."""
    at = spoken_at(items)
    last = None if at is None else items[at]
    match last:
        case Message("assistant"):
            assert at is not None
            items[at] = Message("assistant", last.text + text)
        case _ if text:
            items.append(Message("assistant", text))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
