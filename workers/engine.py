"""The door between a worker and the model that answers: token ids in, new token ids out.

Nothing here imports torch: the worker's other threads, and their tests, see an engine only through
these names. What a step produced is handed over on the engine's own thread, so ``on_step`` and
``after_step`` must return at once; whatever is slow belongs on another thread.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    The draw for a token depends on ``seed`` and on the token's absolute place in prompt plus
    output, and on nothing else: not on batch-mates, not on where a turn was resumed.

    Raises:
        ValueError: a value is out of range; the text begins with the field's name.
    """

    #: New tokens at most, at least 1; the end of the context may come sooner.
    max_tokens: int
    #: 0 takes the likeliest token always.
    temperature: float = 1.0
    #: Draw from the likeliest tokens that together hold this much probability.
    top_p: float = 1.0
    #: Draw from this many likeliest tokens; 0 is no limit.
    top_k: int = 0
    #: Any integer; whoever wants another answer to the same prompt gives another seed.
    seed: int = 0
    #: Taken off a token's logit for each time that the answer has said it, from -2 to 2.
    frequency_penalty: float = 0.0
    #: Taken off a token's logit once the answer has said it, from -2 to 2.
    presence_penalty: float = 0.0
    #: Divides the logit of a token that prompt or answer has, or multiplies it below 0; above 0.
    repetition_penalty: float = 1.0
    #: How many of the prompt's last ids an earlier attempt said: penalties know them as answer.
    answered: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0 <= self.top_p <= 1:
            raise ValueError(f"top_p must be from 0 to 1, not {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, not {self.top_k}")
        for name in ("frequency_penalty", "presence_penalty"):
            if not -2 <= (value := getattr(self, name)) <= 2:
                raise ValueError(f"{name} must be from -2 to 2, not {value}")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            raise ValueError(f"repetition_penalty must be above 0, not {self.repetition_penalty}")
        if self.answered < 0:
            raise ValueError(f"answered must be 0 or more, not {self.answered}")

    @property
    def penalised(self) -> bool:
        """Whether what was said changes what will be said."""
        return bool(self.frequency_penalty or self.presence_penalty or self.repetition_penalty != 1)


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
        sampling: Sampling,
        on_step: OnStep,
        *,
        patient: bool = False,
    ) -> Handle:
        """Take a turn; it joins at the next step with a free slot, first come first served.

        An answer that reaches the end of the context ends with LENGTH. Any thread may call this.

        Args:
            patient: others come first wherever the engine has a choice; what is said is the same.

        Raises:
            BadPrompt: no ids, an id outside the vocabulary, fewer than were answered, or no room
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
