"""A bell written by hand is the message that Celery would have sent."""

import json
from base64 import b64decode
from typing import Any
from uuid import UUID

from celery import Celery
from redis.asyncio import Redis

from turnstream.turns.ids import new_response_id
from turnstream.turns.wake_up import WAKE_UP_TASK, WakeUp, queue_of


async def test_a_wake_up_equals_what_send_task_writes(redis_url: str, redis: Redis) -> None:
    turn_id = new_response_id()
    queue = queue_of("meta-llama/Llama-2-7b-chat-hf", "w0")
    task_id = str(UUID(turn_id.removeprefix("resp_")))
    app = Celery("turnstream", broker=redis_url)
    app.send_task(WAKE_UP_TASK, args=(turn_id,), task_id=task_id, queue=queue, ignore_result=True)
    app.close()
    [sent] = await redis.lrange(queue, 0, -1)

    ours = json.loads(WakeUp().text(turn_id).replace("@queue@", queue))

    assert comparable(ours) == comparable(json.loads(sent))


async def test_two_wake_ups_share_no_ids() -> None:
    wake_up = WakeUp()
    first, second = new_response_id(), new_response_id()

    texts = wake_up.text(first), wake_up.text(second)

    bodies = [b64decode(json.loads(text)["body"]).decode() for text in texts]
    assert first in bodies[0]
    assert second in bodies[1]
    tags = {json.loads(text)["properties"]["delivery_tag"] for text in texts}
    assert len(tags) == 2


def comparable(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out what names the sending process or the sending itself."""
    message["headers"].pop("origin")
    message["properties"].pop("reply_to")
    assert UUID(message["properties"].pop("delivery_tag"))
    message["body"] = json.loads(b64decode(message["body"]))
    return message
