"""Events are built as text, and the result is JSON with the type as its first key."""

import json

from turnstream.turns import event_json
from turnstream.turns.events import kept, text_delta
from turnstream.turns.response import finished_response, message_item, without_logprobs
from turnstream.turns.shapes import TokenLogprob

ID = "resp_" + 32 * "a"


def test_the_type_is_the_first_key_of_every_event_of_a_worker() -> None:
    item = message_item(ID, "completed", "Là.")
    response = event_json.response_fields_json({"id": "x", "output": [item]})
    events = [text_delta(ID, 3, "Où?"), *kept(9, "completed", "null", response)]

    for event in events:
        assert next(iter(json.loads(event))) == "type"
        assert event_json.event_type(event.encode()).decode() == json.loads(event)["type"]


def test_a_stream_id_is_added_and_the_rest_is_unchanged() -> None:
    event = text_delta(ID, 3, "Hi").encode()

    assert event_json.with_stream_id(event, None) == event.decode()
    on_lane = json.loads(event_json.with_stream_id(event, "left"))
    assert on_lane == json.loads(event) | {"stream_id": "left"}


def test_a_snapshot_is_marked_at_its_end() -> None:
    marked = json.loads(event_json.with_snapshot(text_delta(ID, 3, "Hi")))

    assert (next(iter(marked)), marked["snapshot"]) == ("type", True)


def test_a_response_is_built_from_its_status_its_error_and_its_other_fields() -> None:
    response = event_json.response_fields_json({"id": "x", "model": "m"})
    waiting = event_json.response_json("queued", "null", response, queue='{"position":1}')

    assert json.loads(event_json.response_json("failed", "null", response)) == {
        "status": "failed",
        "error": None,
        "id": "x",
        "model": "m",
    }
    assert json.loads(waiting)["queue"] == {"position": 1}


def test_a_response_keeps_the_fields_of_a_newer_release_at_its_end() -> None:
    response = finished_response(
        '"id":"resp_1","new":[1],"output":[],"usage":null}',
        output=(),
        incomplete_reason="max_output_tokens",
        input_tokens=2,
        cached_tokens=1,
        output_tokens=3,
        completed_at=None,
    )

    response = json.loads("{" + response)
    assert (response["id"], response["new"]) == ("resp_1", [1])
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["usage"]["total_tokens"] == 5


def test_a_snapshot_has_the_logprobs_of_the_record_and_they_can_be_left_out_of_a_response() -> None:
    logprob = TokenLogprob(token="L", logprob=-0.5, bytes=(76,), top_logprobs=())
    record = finished_response(
        '"id":"x","metadata":{"a":"\\"logprobs\\":[{"}}',
        output=(message_item(ID, "completed", "L", [logprob]),),
        incomplete_reason=None,
        input_tokens=1,
        cached_tokens=0,
        output_tokens=1,
        completed_at=1,
    )
    done, part, item, end = map(json.loads, kept(9, "completed", "null", record))
    shown = {"token": "L", "logprob": -0.5, "bytes": [76], "top_logprobs": []}
    assert done["logprobs"] == part["part"]["logprobs"] == [shown]
    assert item["item"] == end["response"]["output"][0]

    bare = json.loads(without_logprobs(event_json.response_json("completed", "null", record)))
    assert bare["output"][0]["content"][0]["logprobs"] == []
    bare["output"][0]["content"][0]["logprobs"] = [shown]
    assert bare == end["response"]
