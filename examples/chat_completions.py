"""A streamed answer with the chat completions API, which most tools use: pip install openai"""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any")
chunks = client.chat.completions.create(
    model="demo",
    messages=[
        {"role": "user", "content": "Do you know the Titanic movie?"},
        {"role": "assistant", "content": "Yes, I do."},
        {"role": "user", "content": "Who is the director of the movie?"},
    ],
    stream=True,
)
for chunk in chunks:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
