"""Whatever a client sends is read or refused with a reason: a reader does nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import examples
from tests.schemas.published import ASYNCAPI, OPENAPI
from turnstream.turns.errors import BadRequest
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import read_create
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.frames import Refusal, read_frame
from turnstream.ws_server.settings import BODY_BYTES

#: To draw a body of any fields takes longer than to read it.
FEW = settings(max_examples=examples(35, 300), deadline=None)
SCHEMAS = ASYNCAPI["components"]["schemas"] | OPENAPI["components"]["schemas"]
#: Halves of characters too: JSON can carry them, UTF-8 can't.
TEXT = st.text(st.characters(), max_size=20)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer"]) | ANYTHING},
    optional={
        "type": st.sampled_from(["message", "item_reference", "compaction"]) | ANYTHING,
        "content": TEXT
        | st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["input_text", "refusal"]) | ANYTHING},
                optional={"text": TEXT | ANYTHING, "refusal": TEXT | ANYTHING},
            )
        )
        | ANYTHING,
        "id": TEXT,
    },
)
MESSAGES = TEXT | st.lists(MESSAGE, max_size=3) | ANYTHING


def bodies(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Give bodies with the fields of these schemas, and with anything in them."""
    fields = {field for name in names for field in SCHEMAS[name]["properties"]}
    said = dict.fromkeys(("input", "messages"), MESSAGES)
    return st.fixed_dictionaries(
        {}, optional={field: said.get(field, ANYTHING) for field in sorted(fields)}
    )


@pytest.mark.parametrize(
    ("name", "read"), [("ResponseBody", read_create), ("CompletionBody", read_chat)]
)
@FEW
@given(data=st.data())
def test_a_body_is_read_or_refused(
    name: str, read: Callable[[dict[str, Any]], object], data: st.DataObject
) -> None:
    text = json.dumps(data.draw(bodies(name)))
    reason = "read"
    try:
        # Not of any object: halves of characters are refused before there is one.
        read(read_json(text))
    except BadRequest as refused:
        reason = str(refused)
    assert reason.encode()


@FEW
@given(
    frame=bodies("CreateFrame", "NestedCreateFrame", "CancelFrame", "ResumeFrame"),
    type=st.sampled_from(["response.create", "response.cancel", "turnstream:response.resume"])
    | ANYTHING,
)
def test_a_frame_is_read_or_refused(frame: dict[str, Any], type: object) -> None:
    read = read_frame(json.dumps(frame | {"type": type}))

    if isinstance(read.request, Refusal):
        assert read.request.error.message.encode()


@given(text=st.text(st.characters(), max_size=200))
def test_text_that_is_no_frame_is_refused(text: str) -> None:
    assert isinstance(read_frame(text).request, Refusal)


def test_deeply_nested_text_is_refused() -> None:
    assert isinstance(read_frame("[" * BODY_BYTES).request, Refusal)
