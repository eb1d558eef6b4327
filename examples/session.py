"""Five turns at once through the SDK's managed session, each on a lane of its own.

pip install openai websockets

The session reads the socket and sorts what comes by lane. It reconnects by itself but repeats
nothing: here its hook sends the requests that are not answered yet again. Each has a key, so the
server computes none twice and begins again with its first event.
"""

import uuid

from openai import OpenAI
from openai.lib.responses_websocket import ResponsesWebSocketLimits, ResponsesWebSocketSession
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides

QUESTIONS = {
    "film": "Do you know the Titanic movie?",
    "city": "What is the capital of France?",
    "cat": "Tell me about cats.",
    "sum": "What is 2 plus 3?",
    "hello": "Hello",
}
LIMITS = ResponsesWebSocketLimits(
    max_lanes=8,  # with the default lane
    max_events_per_lane=1_000,
    max_events=4_000,
    max_bytes_per_lane=8 * 1024 * 1024,
    max_bytes=32 * 1024 * 1024,
)
unanswered = {
    lane: {
        "type": "response.create",
        "model": "demo",
        "input": question,
        "idempotency_key": str(uuid.uuid4()),
    }
    for lane, question in QUESTIONS.items()
}


def ask_again(event: ReconnectingEvent) -> ReconnectingOverrides:
    for lane, request in list(unanswered.items()):  # this is another thread
        connection.send({**request, "stream_id": lane})  # waits until there is a connection
    return {}


client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
with (
    client.responses.connect(
        on_reconnecting=ask_again, websocket_connection_options={"max_size": None}
    ) as connection,
    ResponsesWebSocketSession(connection, limits=LIMITS) as session,
):
    lanes = {name: session.lane(name) for name in QUESTIONS}
    for name, lane in lanes.items():
        lane.send(unanswered[name])
    for name, lane in lanes.items():
        answer = lane.get_final_response(timeout=120)
        del unanswered[name]
        print(f"{name}: {answer.output_text}")
