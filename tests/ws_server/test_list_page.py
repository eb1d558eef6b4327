"""The envelope around a page of a list."""

import json

import pytest

from turnstream.turns.event_json import encode
from turnstream.ws_server.bodies import InputItem, InputItemList, InputText


def item(id: str) -> InputItem:
    return InputItem(id=id, role="user", content=(InputText(text="Hi"),))


@pytest.mark.parametrize("more", [True, False])
def test_a_page_names_its_first_and_last_item_and_says_whether_more_come(more: bool) -> None:
    page = json.loads(encode(InputItemList.of([item("a"), item("b"), item("c")], more=more)))

    assert [each["id"] for each in page.pop("data")] == ["a", "b", "c"]
    assert page == {"object": "list", "first_id": "a", "last_id": "c", "has_more": more}


def test_an_empty_page_has_neither_a_first_nor_a_last_item() -> None:
    page = json.loads(encode(InputItemList.of([], more=False)))

    assert (page["data"], page["first_id"], page["last_id"]) == ([], None, None)
