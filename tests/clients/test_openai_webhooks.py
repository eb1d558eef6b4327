"""The official Python SDK makes an endpoint and unwraps what real responses and batches send."""

import json
from typing import Any

from openai import AsyncOpenAI

from harness.webhook_receiver import WebhookReceiver
from tests.clients.openai_turns import LONG

#: Ends before its answer does.
SHORT: dict[str, Any] = {"model": "demo", "input": "Hi", "max_output_tokens": 2}


async def test_the_ends_of_responses_and_of_a_batch_are_unwrapped(aclient: AsyncOpenAI) -> None:
    async with WebhookReceiver() as receiver:
        endpoint = await aclient.webhooks.create(
            name="ends",
            url=receiver.url,
            event_types=["response.incomplete", "response.cancelled", "batch.completed"],
        )
        short = await aclient.responses.create(**SHORT)
        long = await aclient.responses.create(model="demo", background=True, **LONG)
        assert (await aclient.responses.cancel(long.id)).status == "cancelled"
        line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": SHORT}
        file = await aclient.files.create(
            file=("in.jsonl", json.dumps(line).encode()), purpose="batch"
        )
        batch = await aclient.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )

        received = await receiver.wait_for(lambda received: len(received) == 3)

        events = [
            aclient.webhooks.unwrap(each.body, each.headers, secret=endpoint.signing_secret)
            for each in received
        ]
        await aclient.webhooks.delete(endpoint.id)
    assert {(event.type, event.data.id) for event in events} == {  # type: ignore[union-attr]
        ("response.incomplete", short.id),
        ("response.cancelled", long.id),
        ("batch.completed", batch.id),
    }
