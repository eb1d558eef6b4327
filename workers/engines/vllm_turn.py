"""One turn in a `VllmEngine`; all but `cancel` belongs to the engine's thread."""

import asyncio
from collections.abc import Callable

from vllm import SamplingParams

from turnstream.workers.engine import OnStep


class VllmTurn:
    """A turn in a `VllmEngine`."""

    def __init__(
        self,
        prompt: list[int],
        params: SamplingParams,
        on_step: OnStep,
        cancel: Callable[["VllmTurn"], None],
        *,
        low_priority: bool,
    ) -> None:
        self.prompt = prompt
        self.params = params
        self.on_step = on_step
        self.low_priority = low_priority
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        #: How many of the prompt's tokens were there already when the turn joined.
        self.cached_tokens = 0
        self._cancel = cancel

    def cancel(self) -> None:
        """End the turn within a step; a second time, or after its end, changes nothing."""
        self._cancel(self)
