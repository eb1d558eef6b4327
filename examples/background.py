"""A background turn: read in part, disconnected, and read to its end: pip install openai"""

import time

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
asked = client.responses.create(
    model="demo", input="Do you know the Titanic movie?", background=True, stream=True
)
response_id, last = "", -1
for event in asked:
    last = event.sequence_number
    if event.type == "response.created":
        response_id = event.response.id
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
        break  # this closes the connection; the turn continues

# Later, perhaps in another program: the events after the last one that was read.
for event in client.responses.retrieve(response_id, stream=True, starting_after=last):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()

# Or without a stream: poll the status.
response = client.responses.create(model="demo", input="Hello", background=True)
while response.status in ("queued", "in_progress"):
    time.sleep(0.2)
    response = client.responses.retrieve(response.id)
print(response.status, response.output_text)
