"""The envelope around a page of a list."""

import pytest

from turnstream.ws_server.list_page import list_page


@pytest.mark.parametrize("more", [True, False])
def test_a_page_names_its_first_and_last_item_and_says_whether_more_come(more: bool) -> None:
    items = [{"id": "a"}, {"id": "b"}, {"id": "c"}]

    assert list_page(items, more=more) == {
        "object": "list",
        "data": items,
        "first_id": "a",
        "last_id": "c",
        "has_more": more,
    }


def test_an_empty_page_has_neither_a_first_nor_a_last_item() -> None:
    page = list_page([], more=False)

    assert (page["data"], page["first_id"], page["last_id"]) == ([], None, None)
