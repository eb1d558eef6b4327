"""The door between a worker and the model that answers: token ids in, new token ids out.

Nothing here imports torch: the worker's other threads, and their tests, see an engine only through
these names. What a step produced is handed over on the engine's own thread, so ``on_step`` and
``after_step`` must return at once; whatever is slow belongs on another thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from turnstream.turns.sampling_params import SamplingParams


class BadPrompt(ValueError):
    """A prompt that this engine cannot answer; nobody but its own turn is harmed."""


class EngineDead(RuntimeError):
    """The engine was stopped, or its step loop died: it takes no more turns."""


class CheckpointError(RuntimeError):
    """A model that cannot be loaded; the text says in one line what was wrong with it."""


class FinishReason(StrEnum):
    """Why a turn ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a turn."""

    reason: FinishReason
    #: What went wrong; empty unless the reason is ERROR.
    message: str = ""


#: Called on the engine's thread with the new ids of one step and, the last time, the finish.
#: Exactly one call carries a finish, and none follows it. The EOS id is never among the ids.
OnStep = Callable[[Sequence[int], Finish | None], None]


class Handle(Protocol):
    """A turn that an engine has taken."""

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that were known from another turn; 0 until the turn has its slot."""
        ...

    def cancel(self) -> None:
        """End the turn within a step, even before its first token; on any thread, any time."""
        ...


class Engine(Protocol):
    """Anything that answers prompts, several at once."""

    @property
    def capacity(self) -> int:
        """How many turns run at once."""
        ...

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        ...

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int = 0,
        low_priority: bool = False,
    ) -> Handle:
        """Take a turn; it joins at the next step with a free slot, first come first served.

        An answer that reaches the end of the context ends with LENGTH. Any thread may call this.

        Args:
            generated: how many of the prompt's last ids an earlier attempt generated: penalties
                count them as part of the answer.
            low_priority: other turns come first wherever the engine has a choice; the answer is
                the same.

        Raises:
            BadPrompt: no ids, an id outside the vocabulary, fewer than were generated, or no room
                left for one new token.
            EngineDead: the engine was stopped or has died.
        """
        ...

    def healthy(self) -> bool:
        """Whether turns are still taken."""
        ...

    def stop(self, drain_seconds: float) -> None:
        """Let the turns taken so far run for this long, cancel the rest, and join the thread."""
        ...


class Tokenizer(Protocol):
    """Text to ids and back, as the model was trained on it; safe on any thread."""

    @property
    def tokens(self) -> list[str]:
        """Each token as its vocabulary writes it, by id; empty where an id has no token."""
        ...

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids that stand for no text, such as BOS and EOS."""
        ...

    @property
    def bos_id(self) -> int:
        """The id that opens a sequence."""
        ...

    @property
    def eos_ids(self) -> frozenset[int]:
        """The ids that end an answer."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a stretch of text; none is a control id, whatever the text says."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, control ids left out."""
        ...
