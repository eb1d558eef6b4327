"""Log probabilities at one place of an answer, as engines return them and as the log keeps them.

The log has them as ids and numbers beside the events, so that another attempt has those of all
tokens that are in the log: events carry them as text, later than their ids where text is held back,
and a batch line has no events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural logarithms of probabilities, before penalties, bias and temperature."""

    #: Of the chosen token.
    chosen: float
    #: The likeliest tokens, the likeliest first: id and log probability.
    top: tuple[tuple[int, float], ...] = ()


_DECODER = msgspec.json.Decoder(tuple[tuple[float, tuple[tuple[int, float], ...]], ...])


def to_json(logprobs: Sequence[TokenLogprobs]) -> str:
    """Return the JSON for the log; numbers are read back exactly."""
    return msgspec.json.encode([(each.chosen, each.top) for each in logprobs]).decode()


def from_json(text: bytes) -> list[TokenLogprobs]:
    """Read them from the log."""
    return [TokenLogprobs(chosen, top) for chosen, top in _DECODER.decode(text)]
