"""An answer without a gap though the connection is cut: pip install openai websockets

The SDK connects again by itself and lets us add to the new connection's query: which response we
were reading and the last event that we have. What comes after that event is sent again.
"""

import uuid

from openai import OpenAI
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
question = {
    "type": "response.create",
    "model": "demo",
    "input": "Do you know the Titanic movie?",
    # However often it is asked under one key, it is answered once.
    "idempotency_key": str(uuid.uuid4()),
}
response_id, last = "", -1


def go_on(event: ReconnectingEvent) -> ReconnectingOverrides:
    if not response_id:  # cut before the first event: nobody told us the id
        connection.send(question)
        return {}
    return {"extra_query": {"resume_response_id": response_id, "starting_after": last}}


with client.responses.connect(on_reconnecting=go_on) as connection:
    connection.send(question)
    for event in connection:
        if event.type == "error":
            raise SystemExit(f"\n{event.to_json()}")
        number = getattr(event, "sequence_number", -1)
        if number <= last:  # asked twice and told twice
            continue
        last = number
        if event.type == "response.created":
            response_id = event.response.id
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            break
print()
