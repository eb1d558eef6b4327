"""The interface of engines: prompt ids in, new token ids out.

Nothing here imports torch: a worker's other threads and their tests use these names only. New ids
are delivered on the engine's own thread, so ``on_step`` and ``after_step`` must return at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.cache_scope import NO_OWNER, CacheScope


class BadPrompt(ValueError):
    """A prompt that this engine cannot answer."""


class BadLogitBias(ValueError):
    """A bias for tokens that the model does not have."""


class BadConstraint(ValueError):
    """A grammar that this engine cannot compile, or that the answer so far does not follow."""


class EngineDead(RuntimeError):
    """The engine was stopped or has died; it takes no more turns."""


class CheckpointError(RuntimeError):
    """A model cannot be loaded; the text says why, in one line."""


class FinishReason(StrEnum):
    """Why the engine finished a turn."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a turn in the engine."""

    reason: FinishReason
    #: What went wrong; empty unless the reason is ERROR.
    message: str = ""


#: Called on the engine's thread with the new ids of one step and, the last time, the finish.
#: Exactly one call carries a finish, and none follows it. The EOS id is never among the ids.
OnStep = Callable[[Sequence[int], Finish | None], None]
#: Called on the engine's thread with the log probabilities of the ids of one step, before `OnStep`
#: is called with these ids.
OnLogprobs = Callable[[Sequence[TokenLogprobs]], None]


class Handle(Protocol):
    """A turn that an engine has taken."""

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that were in the cache; 0 until the turn has its slot."""
        ...

    def cancel(self) -> None:
        """End the turn within a step, even before its first token; thread-safe."""
        ...


class Engine(Protocol):
    """Answers several prompts at once."""

    @property
    def capacity(self) -> int:
        """How many turns run at once."""
        ...

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        ...

    @property
    def short_of_memory(self) -> bool:
        """Whether it should be given no more turns now: those that it has may need all memory.

        A turn that it is given nevertheless waits in the engine. Thread-safe.
        """
        ...

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int = 0,
        low_priority: bool = False,
        on_logprobs: OnLogprobs | None = None,
        constraint: Constraint | None = None,
        cache: CacheScope = NO_OWNER,
    ) -> Handle:
        """Take a turn; it starts at the next step with a free slot and memory for it.

        Turns start in the order of submission, those of low priority after the others.
        An answer that reaches the end of the context finishes with LENGTH. Thread-safe.

        Args:
            generated: how many of the prompt's last ids an earlier attempt generated: penalties
                count them as part of the answer.
            low_priority: prefer other turns wherever the engine has a choice; the answer is the
                same.
            on_logprobs: called if `sampling.top_logprobs` is not None.
            constraint: the grammar of the answer, which includes the ids that were generated. The
                answer can end only where the grammar can.
            cache: nothing computed for turns outside this scope is reused, so that neither
                `cached_tokens` nor the time to the first token tells what others have asked.

        Raises:
            BadPrompt: no ids, an id outside the vocabulary, fewer than were generated, or no room
                left for one new token.
            BadLogitBias: an id outside the vocabulary has a bias.
            BadConstraint: the grammar cannot be compiled, or the generated ids do not follow it.
            EngineDead: the engine was stopped or has died.
        """
        ...

    def healthy(self) -> bool:
        """Return whether the engine takes turns."""
        ...

    def stop(self, drain_seconds: float) -> None:
        """Let the running turns continue for this long, cancel the rest, and join the thread."""
        ...


class Tokenizer(Protocol):
    """Text to ids and back; thread-safe."""

    @property
    def tokens(self) -> list[str]:
        """Each token as its vocabulary spells it, by id; empty where an id has no token."""
        ...

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids without text, such as BOS and EOS."""
        ...

    @property
    def bos_id(self) -> int | None:
        """The id that opens a sequence; None if the model knows none."""
        ...

    @property
    def eos_ids(self) -> frozenset[int]:
        """The ids that end an answer."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; none is a control id, whatever the text spells."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids, without control ids."""
        ...
