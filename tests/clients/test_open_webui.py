"""What Open WebUI sends: it lists the models, then streams completions with fields of its own."""

import json

import httpx2

from harness.service import Service

#: As its release 0.10 writes it for a connection of the OpenAI kind.
ASKED = {
    "stream": True,
    "model": "demo",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Do you know the movie Titanic?"},
    ],
    "temperature": 0.8,
    "max_tokens": 64,
    "frequency_penalty": 0,
    "stream_options": {"include_usage": True},
    "user": {"name": "Ann", "id": "1", "email": "ann@example.com", "role": "admin"},
    "metadata": {"chat_id": "a", "message_id": "b"},
}


async def test_open_webui_finds_the_model_and_reads_an_answer(service: Service) -> None:
    key = {"Authorization": "Bearer any"}
    async with httpx2.AsyncClient(base_url=service.url, headers=key, timeout=60) as client:
        models = (await client.get("/v1/models")).json()
        answer = await client.post("/v1/chat/completions", json=ASKED)

    assert "demo" in [model["id"] for model in models["data"]]
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert text
    assert chunks[-2]["choices"][0]["finish_reason"] in ("stop", "length")
    assert chunks[-1]["usage"]["completion_tokens"] > 0


async def test_continue_response_goes_on_from_the_text_that_is_shown(service: Service) -> None:
    # It sends the conversation with the answer so far, and adds what it gets to that answer.
    story = [{"role": "user", "content": "Write a long story."}]
    so_far = "Once upon a time there was a"
    fields = ASKED | {"stream": False, "stream_options": None, "temperature": 0}
    async with httpx2.AsyncClient(base_url=service.url, timeout=60) as client:

        async def text(messages: list[dict[str, str]]) -> str:
            body = fields | {"messages": messages}
            reply = (await client.post("/v1/chat/completions", json=body)).json()
            return str(reply["choices"][0]["message"]["content"])

        whole = await text(story)
        rest = await text([*story, {"role": "assistant", "content": so_far}])

    assert whole.startswith(so_far)
    assert (so_far + rest).startswith(whole)
