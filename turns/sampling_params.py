"""How the tokens of an answer are chosen: one value, from the request to the engine.

The node creates it, the turn's record keeps it, and the engine samples with it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

#: Likeliest tokens whose log probabilities a request can have.
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen.

    The draw for a token depends on ``seed`` and on the token's absolute place in prompt plus
    output, and on nothing else: not on other turns in the batch, not on where a turn was resumed.

    Raises:
        ValueError: a value is out of range; the text begins with the field's name.
    """

    #: New tokens at most, at least 1; None: as many as the context leaves.
    max_tokens: int | None = None
    #: 0: always the likeliest token.
    temperature: float = 1.0
    #: Draw from the likeliest tokens that together hold this much probability.
    top_p: float = 1.0
    #: Draw from this many likeliest tokens; 0 is no limit.
    top_k: int = 0
    #: Any integer; with another one the same prompt gets another answer.
    seed: int = 0
    #: Subtracted from a token's logit for each time that the answer contains it, from -2 to 2.
    frequency_penalty: float = 0.0
    #: Subtracted from a token's logit once the answer contains it, from -2 to 2.
    presence_penalty: float = 0.0
    #: Divides the logit of a token in prompt or answer (multiplies it below 0); above 0.
    repetition_penalty: float = 1.0
    #: Added to the logits of tokens, from -100 to 100: each an id and its bias.
    logit_bias: tuple[tuple[int, float], ...] = ()
    #: The answer does not end, neither by EOS nor by a stop string, before it has this many tokens.
    min_tokens: int = 0
    #: Continue after an EOS as after any other token.
    ignore_eos: bool = False
    #: Report the log probability of each token of the answer, and of this many likeliest tokens in
    #: its place, 0 to 20; None: report none.
    top_logprobs: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
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
        for id, bias in self.logit_bias:
            if not -100 <= bias <= 100:
                raise ValueError(f"logit_bias must be from -100 to 100, not {bias} (id {id})")
        if not 0 <= self.min_tokens <= (self.max_tokens or self.min_tokens):
            raise ValueError(f"min_tokens must be from 0 to max_tokens, not {self.min_tokens}")
        if not 0 <= (self.top_logprobs or 0) <= MAX_TOP_LOGPROBS:
            raise ValueError(f"top_logprobs must be from 0 to 20, not {self.top_logprobs}")

    @classmethod
    def from_fields(cls, stated: Mapping[str, Any]) -> Self:
        """Make it of the fields that a record has, as JSON holds them."""
        bias = tuple((id, each) for id, each in stated.get("logit_bias", ()))
        return cls(**dict(stated) | {"logit_bias": bias})

    @property
    def penalised(self) -> bool:
        """Whether earlier tokens change the logits of later ones."""
        return bool(self.frequency_penalty or self.presence_penalty or self.repetition_penalty != 1)
