"""A worker without an engine, for benchmarks of everything else: it answers with one word.

It makes the same calls to Redis as a real worker; one append has many turns, as for one engine
step. `python -m benchmarks.stub_worker` runs until it is ended.
"""

import os
import time

from redis.exceptions import RedisError

from turnstream.turns import response
from turnstream.turns.connection import connect
from turnstream.turns.events import closing, opening, terminal, text_delta
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed
from turnstream.turns.wake_up import queue_of

MODEL = "stub"
SLOTS = 64
TEXT = "ok"
#: Pause when no turn is queued, and interval between two heartbeats.
IDLE_SECONDS = 0.002
HEARTBEAT_SECONDS = 0.25
_ABOUT = {"created": 0, "context": 4096, "temperature": 1.0, "top_p": 1.0}


def answered(claimed: Claimed) -> Append:
    """Return the append of a complete answer."""
    id, seq = claimed.id, claimed.seq + 1
    item = response.message_item(id, "completed", TEXT)
    finished = response.finished_response(
        claimed.response,
        output=(item,),
        incomplete_reason=None,
        input_tokens=1,
        cached_tokens=0,
        output_tokens=1,
        completed_at=int(time.time()),
    )
    begun = [Entry(event) for event in opening(id, seq)]
    said = Entry(text_delta(id, seq + 2, TEXT), (1,))
    ended = [Entry(event) for event in closing(seq + 3, 0, item)]
    end = Entry(terminal(seq + 6, "completed", "null", finished))
    return Append(
        id=id,
        attempt=claimed.attempt,
        first=seq,
        entries=(*begun, said, *ended, end),
        final=Final(status="completed", error="null", response=finished, text=TEXT),
    )


class StubWorker:
    """Claims turns and answers them at once."""

    def __init__(self, settings: TurnSettings) -> None:
        self._client = connect(settings.redis_url)
        self._queue = TurnQueue(self._client, settings, model=MODEL, worker="w0")
        self._log = Log(self._client, settings, worker="w0")
        self._step: list[Append] = []
        self._last_heartbeat = 0.0

    def work(self) -> None:
        """Answer queued turns, or pause; after an error call it again, and it continues.

        Raises:
            RedisError
        """
        if time.monotonic() - self._last_heartbeat > HEARTBEAT_SECONDS:
            self._queue.heartbeat([], _ABOUT, slots=SLOTS)
            # It polls the queue and consumes no wake-ups, so they would pile up.
            self._client.delete(queue_of(MODEL, "w0"))
            self._last_heartbeat = time.monotonic()
        while len(self._step) < SLOTS and (claimed := self._queue.claim(SLOTS - len(self._step))):
            self._step.append(answered(claimed))
        if self._step:
            self._log.append(self._step)
            self._step = []
        else:
            time.sleep(IDLE_SECONDS)


def main() -> None:
    """Work until the process is ended."""
    stub = StubWorker(TurnSettings.read(os.environ))
    while True:
        try:
            stub.work()
        except RedisError:
            time.sleep(IDLE_SECONDS)


if __name__ == "__main__":
    main()
