"""An answer without a gap after a lost connection: pip install openai websockets

The SDK reconnects by itself. Its hook adds to the query of the new connection which response to
resume and the number of the last event that was read; the server sends the events after that one.
"""

import uuid

from openai import OpenAI
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
question = {
    "type": "response.create",
    "model": "demo",
    "input": "Do you know the Titanic movie?",
    # A repeated request with the same key is answered once.
    "idempotency_key": str(uuid.uuid4()),
}
response_id, last = "", -1


def go_on(event: ReconnectingEvent) -> ReconnectingOverrides:
    if not response_id:  # lost before the first event, so the id is not known
        connection.send(question)
        return {}
    return {"extra_query": {"resume_response_id": response_id, "starting_after": last}}


with client.responses.connect(on_reconnecting=go_on) as connection:
    connection.send(question)
    for event in connection:
        if event.type == "error":
            raise SystemExit(f"\n{event.to_json()}")
        number = getattr(event, "sequence_number", -1)
        if number <= last:  # a repeated request repeats events
            continue
        last = number
        if event.type == "response.created":
            response_id = event.response.id
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            break
print()
