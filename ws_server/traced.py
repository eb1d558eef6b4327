"""Submit a turn as part of its client's trace."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from turnstream.turns.errors import TurnError
from turnstream.turns.follower import Follower
from turnstream.turns.traces import NO_TRACES, Traces
from turnstream.turns.turn import Turn

Submit = Callable[[Turn], AbstractAsyncContextManager[Follower]]


def traced(traces: Traces, turn: Turn, submit: Submit) -> AbstractAsyncContextManager[Follower]:
    """Return what submits and follows a turn, and reports it until its reader has left."""
    return submit(turn) if traces is NO_TRACES else _traced(traces, turn, submit)


@asynccontextmanager
async def _traced(traces: Traces, turn: Turn, submit: Submit) -> AsyncIterator[Follower]:
    span = traces.turn(turn)
    error = None
    origin = replace(turn.origin, traceparent=span.traceparent)
    try:
        async with submit(replace(turn, origin=origin)) as follower:
            span.submitted()
            yield follower
    except TurnError as exc:
        error = exc.code
        raise
    finally:
        span.end(error)
