"""The items of a whole conversation, from the records of its turns."""

from collections.abc import Sequence

from turnstream.turns.ids import ANSWER, call_name
from turnstream.turns.turn import Item, Message, items_from_json, spoken_at


def conversation(
    history: Sequence[str | bytes], input: str | bytes, system: Sequence[str | bytes] = ()
) -> tuple[Item, ...]:
    """Return the items of a turn's conversation, oldest first.

    Args:
        history: input, text, removed items and calls of each turn before it, latest turn first.
        input: of the turn itself.
        system: of the turns before those of the history, latest first: items, of which only the
            system messages are meant, and removed items.
    """
    items: list[Item] = []
    for at in range(len(system) - 2, -1, -2):
        items += filter(_is_system, _left(system[at], removed_items(system[at + 1])))
    for at in range(len(history) - 4, -1, -4):
        removed = removed_items(history[at + 2])
        items += _left(history[at], removed)
        text = _text(history[at + 1])
        if not removed:
            add_reply(items, text)
        elif text and ANSWER not in removed:
            # What it went on from, or answered, may be gone.
            items.append(Message("assistant", text))
        calls = enumerate(items_from_json(history[at + 3] or "[]"))
        items += [call for number, call in calls if call_name(number) not in removed]
    return (*items, *items_from_json(input))


def _left(input: str | bytes, removed: frozenset[str]) -> list[Item]:
    asked = enumerate(items_from_json(input))
    return [item for number, item in asked if str(number) not in removed]


def _is_system(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "system"


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


def removed_items(field: str | bytes) -> frozenset[str]:
    """Read which items of a turn were removed: see `turns.ids.turn_of_item`."""
    return frozenset(filter(None, _text(field).split(",")))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
