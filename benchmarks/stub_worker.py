"""A worker without an engine, for benchmarks of everything but the engine: its answer is one word.

It claims and writes through the same doors as the real one, many turns to a write as one engine
step brings them. `python -m benchmarks.stub_worker` runs until it is ended.
"""

import os
import time

from turns import response
from turns.bell import queue_of
from turns.connection import connect
from turns.events import closing, opening, terminal, text_delta
from turns.line import Line
from turns.log import Append, Entry, Final, Log
from turns.settings import TurnSettings
from turns.turn import Claimed

MODEL = "stub"
ROWS = 64
TEXT = "ok"
#: Its pause when nobody waits, and the longest between two signs of life.
IDLE_SECONDS = 0.002
BEAT_SECONDS = 0.25
_ABOUT = {"created": 0, "context": 4096, "temperature": 1.0, "top_p": 1.0}


def answered(claimed: Claimed) -> Append:
    """Write a whole answer."""
    id, seq = claimed.id, claimed.seq + 1
    rest = response.finished_rest(
        claimed.rest,
        item=response.message_item(id, "completed", TEXT),
        incomplete_reason=None,
        input_tokens=1,
        cached_tokens=0,
        output_tokens=1,
        completed_at=int(time.time()),
    )
    begun = [Entry(event) for event in opening(id, seq)]
    said = Entry(text_delta(id, seq + 2, TEXT), (1,))
    ended = [Entry(event) for event in closing(id, seq + 3, "completed", TEXT)]
    end = Entry(terminal(seq + 6, "completed", "null", rest))
    return Append(
        id=id,
        attempt=claimed.attempt,
        first=seq,
        entries=(*begun, said, *ended, end),
        final=Final(status="completed", error="null", rest=rest, text=TEXT),
    )


def main() -> None:
    """Answer whoever waits."""
    settings = TurnSettings.read(os.environ)
    client = connect(settings.redis_url)
    line = Line(client, settings, model=MODEL, worker="w0")
    log = Log(client, settings, worker="w0")
    beaten = 0.0
    while True:
        if time.monotonic() - beaten > BEAT_SECONDS:
            beaten = time.monotonic()
            # It looks by itself, so nobody takes the bells that are rung for it.
            client.delete(queue_of(MODEL, "w0"))
            line.beat([], _ABOUT, rows=ROWS)
        step: list[Append] = []
        while len(step) < ROWS and (claimed := line.claim(ROWS - len(step))) is not None:
            step.append(answered(claimed))
        if step:
            log.append(step)
        else:
            time.sleep(IDLE_SECONDS)


if __name__ == "__main__":
    main()
