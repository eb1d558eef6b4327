"""Wake-ups: Celery messages that make a worker claim a turn.

A wake-up names no turn to answer: the id in it is for the logs, and the worker claims the head of
the queue. A script pushes it onto a worker's own Celery queue, so its text is made beforehand:
Celery writes one message to a queue in memory, and every wake-up is that message with another id.
"""

import json
from base64 import b64decode, b64encode
from itertools import pairwise
from typing import Any
from uuid import UUID

from celery import Celery

#: Name of the task that a wake-up runs at a worker.
WAKE_UP_TASK = "turns.wake_up"
#: Its name in releases before version 2, whose messages may still be in a queue.
OLD_WAKE_UP_TASK = "turns.ring"

#: Stands for the queue's name until a script chooses the worker.
_QUEUE = "@queue@"
_TURN = "resp_" + 32 * "0"
_TASK = str(UUID(int=0))


def queue_of(model: str, worker: str | None = None) -> str:
    """Return the name of the Celery queue of a model, or of one worker of it."""
    return f"turns.{model}" if worker is None else f"turns.{model}.{worker}"


def celery_keys(model: str) -> list[str]:
    """Return a key of each kind that Celery itself uses."""
    queue = queue_of(model)
    return [queue, f"_kombu.binding.{queue}", "unacked", "unacked_index", "unacked_mutex"]


class WakeUp:
    """Writes wake-ups as Celery's own serializer does."""

    def __init__(self) -> None:
        app = Celery("turnstream", broker="memory://")
        with app.connection_for_write() as connection:
            app.send_task(
                WAKE_UP_TASK,
                args=(_TURN,),
                task_id=_TASK,
                queue=_QUEUE,
                ignore_result=True,
                connection=connection,
            )
            channel: Any = connection.default_channel
            message = channel._get(_QUEUE)
        self._body: str = b64decode(message["body"]).decode()
        message["body"] = "@body@"
        message["properties"]["delivery_tag"] = _TASK
        self._message: str = json.dumps(message)

    def text(self, turn_id: str) -> str:
        """Write the wake-up of a turn, with a placeholder for the queue's name."""
        body = b64encode(self._body.replace(_TURN, turn_id).encode()).decode()
        number = turn_id.removeprefix("resp_")
        # As a UUID is written.
        task = "-".join(number[i:j] for i, j in pairwise((0, 8, 12, 16, 20, 32)))
        message = self._message.replace("@body@", body).replace(_TURN, turn_id)
        return message.replace(_TASK, task)
