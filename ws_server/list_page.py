"""A page of a list, in the one envelope that messages, files and batches are listed in."""

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from typing_extensions import TypedDict


class _Item(TypedDict):
    id: str


Item = TypeVar("Item", bound=_Item)
Id = TypeVar("Id", bound=str)


class ListPage(TypedDict, Generic[Item, Id]):
    """A page of a list; where it has more, the next one comes after `last_id`."""

    object: Literal["list"]
    data: list[Item]
    first_id: Id | None
    last_id: Id | None
    has_more: bool


def list_page(items: Sequence[Item], *, more: bool) -> ListPage[Item, str]:
    """Put a page's items into its envelope; `more` says whether others come after them."""
    return {
        "object": "list",
        "data": [*items],
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": more,
    }
