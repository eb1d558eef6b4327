"""A conversation over HTTP with streamed answers: pip install openai"""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
previous = None
for question in ("Do you know the Titanic movie?", "Who is the director of the movie?"):
    print(f"> {question}")
    with client.responses.stream(
        model="demo", input=question, previous_response_id=previous
    ) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
        print()
        previous = stream.get_final_response().id
