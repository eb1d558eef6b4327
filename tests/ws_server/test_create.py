"""Which fields a request for a response may have besides its input."""

from typing import Any

import pytest

from turnstream.turns.errors import BadRequest
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.directory import Model


def read(**fields: Any) -> Create:
    return read_create({"input": "Hi"} | fields)


def test_a_background_turn_is_marked_in_its_response() -> None:
    create = read(background=True)

    assert create.turn("ann", Model(name="tiny"), previous_cached=False).background is True
    assert read().background is False


@pytest.mark.parametrize(
    ("window", "tier"), [("soonest", "priority"), ("2h", "batch"), ("8h", "batch")]
)
def test_flex_processing_uses_the_batch_tier(window: str, tier: str) -> None:
    options = {"completion_window": window, "continuation_id": "mine"}

    create = read(background=True, background_options=options, service_tier="priority")

    assert create.tier == tier


def test_a_stream_cannot_be_put_off() -> None:
    options = {"completion_window": "8h"}
    with pytest.raises(BadRequest, match="completion_window"):
        read(background=True, stream=True, background_options=options)
