"""A listener for one turn of an engine, which records its ids and finishes."""

import threading
from collections.abc import Callable, Sequence

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.engine import Engine, Finish, Handle

#: How long a test waits for an engine before it fails.
TIMEOUT_SECONDS = 20


class Listener:
    """Collects a turn's ids and finishes; ``on_ids`` is called after each step without a finish."""

    def __init__(self, on_ids: Callable[["Listener"], None] | None = None) -> None:
        self.ids: list[int] = []
        self.logprobs: list[TokenLogprobs] = []
        self.finishes: list[Finish] = []
        self.calls_after_finish = 0
        self._handle: Handle | None = None
        self._taken = threading.Event()
        self._on_ids = on_ids
        self._finished = threading.Event()

    def __call__(self, ids: Sequence[int], finish: Finish | None) -> None:
        if self.finishes:
            self.calls_after_finish += 1
        self.ids.extend(ids)
        if finish:
            self.finishes.append(finish)
            self._finished.set()
        elif self._on_ids:
            self._on_ids(self)

    def taken(self, handle: Handle) -> None:
        """Note the handle of the turn."""
        self._handle = handle
        self._taken.set()

    def cancel(self) -> None:
        """Cancel the turn; waits for `taken` first."""
        assert self._taken.wait(TIMEOUT_SECONDS)
        assert self._handle
        self._handle.cancel()

    def wait(self) -> Finish:
        """Wait for the finish and return it."""
        assert self._finished.wait(TIMEOUT_SECONDS), "the turn never finished"
        return self.finishes[0]


def start(
    engine: Engine,
    prompt: Sequence[int],
    sampling: SamplingParams,
    on_ids: Callable[[Listener], None] | None = None,
    *,
    generated: int = 0,
    constraint: Constraint | None = None,
) -> Listener:
    """Submit a turn and return its listener."""
    listener = Listener(on_ids)
    handle = engine.submit(
        prompt,
        sampling,
        listener,
        generated=generated,
        on_logprobs=listener.logprobs.extend,
        constraint=constraint,
    )
    listener.taken(handle)
    return listener


def answer(engine: Engine, prompt: Sequence[int], sampling: SamplingParams) -> list[int]:
    """Submit a turn, wait for its end and return its ids."""
    listener = start(engine, prompt, sampling)
    listener.wait()
    return listener.ids
