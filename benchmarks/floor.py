"""The least that a way through Redis can cost: out of a list, straight on to a channel.

A process of its own, as a worker is. `python -m benchmarks.floor`, with the URL of Redis in
`TURNSTREAM_REDIS_URL`, runs until it is ended.
"""

import os

import redis

QUEUE = "floor:queue"
CHANNEL = "floor:channel"


def main() -> None:
    """Publish whatever is pushed."""
    url = os.environ["TURNSTREAM_REDIS_URL"]
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=None)
    while True:
        _, question = client.brpop([QUEUE])  # type: ignore[misc]
        client.publish(CHANNEL, question)


if __name__ == "__main__":
    main()
