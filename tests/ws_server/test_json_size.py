"""What a JSON text may have in it, whatever its strings have."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnstream.turns.errors import BadRequest
from turnstream.ws_server import json_size
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.json_size import MOST_PARTS, MOST_VALUES, check_json_size

_KEY = st.text('a"\\[{:,', max_size=6)
_JSON = st.recursive(
    st.none() | st.integers(0, 9) | _KEY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEY, inner, max_size=4),
    max_leaves=20,
)


def parts(value: Any) -> int:
    """Count objects, lists and members one by one."""
    match value:
        case dict():
            return 1 + len(value) + sum(map(parts, value.values()))
        case list():
            return 1 + sum(map(parts, value))
        case _:
            return 0


@given(value=_JSON)
def test_only_what_is_outside_of_strings_is_counted(value: Any) -> None:
    text = json.dumps(value).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_size, "MOST_PARTS", parts(value))
        check_json_size(text)
        patch.setattr(json_size, "MOST_PARTS", parts(value) - 1)
        with pytest.raises(BadRequest, match="members of objects"):
            check_json_size(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"input": [' + "[]," * MOST_PARTS + "[]]}", "objects, lists and members"),
        ("{" + ",".join(f'"{n}":0' for n in range(MOST_PARTS + 1)) + "}", "members of objects"),
        ('{"input": [' + "1," * MOST_VALUES + "1]}", "values"),
    ],
    ids=["lists", "members", "values"],
)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_request_with_too_much_in_it_is_refused_before_it_is_parsed(
    text: str, what: str, as_bytes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("msgspec.json.decode")

    with pytest.raises(BadRequest, match=what) as refused:
        read_json(text.encode() if as_bytes else text)

    assert refused.value.code == "invalid_json"


def test_a_long_text_with_much_punctuation_is_read() -> None:
    said = '[{"a": 1, "b": [":,"]}] \\ ' * 100_000

    assert read_json(json.dumps({"input": said}).encode()) == {"input": said}
