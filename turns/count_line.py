"""A worker's door to conversations whose tokens nodes want to know."""

from typing import Any, cast

import redis

from turnstream.turns import keys
from turnstream.turns.count import Count, Question, question_from_json, refusal_to_json
from turnstream.turns.errors import BadRequest

#: How long a silence is waited out at a time; below the time a command may take.
WAIT_SECONDS = 1.0


class CountLine:
    """The questions about one model. Not shared between threads: each makes its own."""

    def __init__(self, client: "redis.Redis", *, model: str) -> None:
        self._client = client
        self._model = model

    def next(self) -> Question | None:
        """Take the next question; None when there is none for a while.

        Raises:
            redis.RedisError: Redis is away; ask again.
        """
        found = cast(
            Any, self._client.blpop([keys.count_requests(self._model)], timeout=WAIT_SECONDS)
        )
        return question_from_json(found[1]) if found else None

    def answer(self, question: Question, answer: Count | BadRequest) -> None:
        """Tell who asked.

        Raises:
            redis.RedisError: Redis is away; who asked will ask again.
        """
        said = answer.to_json() if isinstance(answer, Count) else refusal_to_json(answer)
        self._client.publish(keys.node_channel(question.node), f"{question.id} 0 end {said}")
