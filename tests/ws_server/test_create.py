"""Which fields a request for a response may have besides its input."""

from typing import Any

import pytest

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Request
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


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 20}, 20),
        ({"top_logprobs": 3}, 3),
        ({"top_logprobs": 0}, None),
        ({"include": []}, None),
    ],
)
def test_logprobs_are_included_by_name_or_by_a_number_of_likeliest_tokens(
    fields: dict[str, Any], count: int | None
) -> None:
    turn = read(**fields).turn("ann", Model(name="tiny"), previous_cached=False)
    assert turn.request.sampling.top_logprobs == count


def test_a_bias_is_the_same_request_in_any_order_and_survives_the_record() -> None:
    one, two = read(logit_bias={"7": -100, "12": 1.5}), read(logit_bias={"12": 1.5, "7": -100})
    assert one.fingerprint == two.fingerprint
    request = one.turn("ann", Model(name="tiny"), previous_cached=False).request
    assert request.sampling.logit_bias == ((7, -100), (12, 1.5))
    assert Request.from_json(request.to_json()) == request


@pytest.mark.parametrize(
    ("bias", "param", "message"),
    [
        ({"x": 1}, "logit_bias", "token ids, not 'x'"),
        ({"-1": 1}, "logit_bias", "token ids, not '-1'"),
        ({"07": 1}, "logit_bias", "token ids, not '07'"),
        ({"7": 100.5}, "logit_bias.7", "from -100 to 100"),
        ({"7": "1"}, "logit_bias.7", "a number"),
        ({"7": True}, "logit_bias.7", "a number"),
        ({"7": None}, "logit_bias.7", "a number"),
        ([7], "logit_bias", "at most 300 numbers"),
        ({str(id): 1 for id in range(301)}, "logit_bias", "at most 300 numbers"),
    ],
)
def test_a_wrong_bias_is_named(bias: object, param: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message) as refused:
        read(logit_bias=bias)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"min_tokens": -1},
        {"min_tokens": 9, "max_output_tokens": 8},
        {"top_logprobs": 21},
        {"ignore_eos": 1},
        {"include": "all"},
    ],
)
def test_a_wrong_sampling_field_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**fields)
    assert refused.value.param == next(iter(fields))
