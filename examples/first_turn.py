"""A first turn with the official SDK: pip install openai websockets"""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
with client.responses.connect() as connection:
    connection.response.create(model="demo", input="Do you know the Titanic movie?")
    for event in connection:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
        if event.type in ("response.completed", "response.incomplete", "response.failed", "error"):
            break
print()
