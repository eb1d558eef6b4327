"""Whatever is sent on a socket, it stays open, and says only what is published."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from harness.service import Service
from tests.effort import examples
from tests.fuzz.test_readers import ANYTHING, bodies
from tests.schemas.published import ASYNCAPI, name_of, wrong

WAIT_SECONDS = 60
#: Most become turns, short ones.
FRAMES = st.builds(
    lambda kind, body, known: body | kind | known,
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    "response.create",
                    "response.cancel",
                    "response.steer",
                    "turnstream:response.resume",
                ]
            )
            | ANYTHING
        }
    ),
    bodies("CreateFrame", "CancelFrame", "SteerFrame", "ResumeFrame"),
    st.fixed_dictionaries(
        {"max_output_tokens": st.just(1)},
        optional={
            "input": st.just("Hello"),
            "model": st.none(),
            "stream_id": st.sampled_from(["left", "right"]),
            "previous_response_id": st.none(),
        },
    ),
)
#: What is asked last on each lane, and so answered last.
LAST = {"type": "turnstream:response.resume", "response_id": "the last"}
LANES = (None, "left", "right")


def is_last(frame: dict[str, Any]) -> bool:
    return "'the last'" in frame.get("error", {}).get("message", "")


@settings(
    max_examples=examples(25, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(frames=st.lists(FRAMES, min_size=1, max_size=8))
def test_a_socket_survives_any_input_and_sends_only_published_frames(
    service: Service, frames: list[dict[str, Any]]
) -> None:
    received: list[dict[str, Any]] = []
    with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        for frame in [*frames, *(LAST | {"stream_id": lane} for lane in LANES)]:
            socket.send(json.dumps(frame))
        while sum(is_last(frame) for frame in received) < len(LANES):
            received.append(json.loads(socket.recv(timeout=WAIT_SECONDS)))

    assert [wrong(ASYNCAPI, name_of(frame), frame) for frame in received] == [None] * len(received)
