"""How much each owner may ask for, and in which tiers.

Batches are not counted: a runner keeps a bounded number of turns in the queue.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import assert_never

from turnstream.turns import environment
from turnstream.turns.environment import SettingError
from turnstream.turns.errors import TierNotAllowed
from turnstream.turns.limit_use import Left, LimitUse
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, Tier, Turn

#: Output tokens reserved for a turn whose request sets no maximum.
ANSWER_TOKENS = 256
_CHARACTERS_PER_TOKEN = 4
_TIERS: tuple[Tier, ...] = ("priority", "default", "flex", "batch")
_ENTRY = re.compile(r"(?:([A-Za-z0-9_.-]{1,64}):)?([a-z_]+)=([a-z0-9+]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one owner may ask for; 0 is no limit."""

    #: Turns that have not ended.
    in_flight: int = 0
    #: Turns that no worker has begun.
    queued: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    tiers: frozenset[Tier] = frozenset(_TIERS)

    def check_tier(self, tier: Tier) -> None:
        """Check that the owner may submit in a tier.

        Raises:
            TierNotAllowed: the owner may not.
        """
        if tier not in self.tiers:
            raise TierNotAllowed(tier, [name for name in _TIERS if name in self.tiers])

    def use(self, requests: int, tokens: int) -> LimitUse:
        """Return what is left after so much was used within the last minute."""
        return LimitUse(
            Left.of(self.requests_per_minute, requests), Left.of(self.tokens_per_minute, tokens)
        )

    @property
    def numbers(self) -> dict[str, int]:
        """The limits by name: an argument of the submit script."""
        return {
            "in_flight": self.in_flight,
            "queued": self.queued,
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
        }


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """The default limits, and those of owners with limits of their own."""

    default: Limits = Limits()
    own: Mapping[str, Limits] = field(default_factory=dict)

    def of(self, owner: str) -> Limits:
        """Return the limits of an owner."""
        return self.own.get(owner, self.default)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "OwnerLimits":
        """Read `TURNSTREAM_LIMITS`: `NAME=NUMBER` for all owners, `OWNER:NAME=NUMBER` for one, and
        `tiers=TIER+TIER` likewise.

        Raises:
            SettingError: an entry can't be read; it says which.
        """
        default: dict[str, int | frozenset[Tier]] = {}
        own: dict[str, dict[str, int | frozenset[Tier]]] = {}
        for entry in environ.get(environment.PREFIX + "LIMITS", "").replace(",", " ").split():
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise SettingError("LIMITS", f"must be a list of [OWNER:]NAME=VALUE, not {entry!r}")
            owner, name, value = match.groups()
            (default if owner is None else own.setdefault(owner, {}))[name] = _value(name, value)
        for_all = replace(Limits(), **default)  # type: ignore[arg-type]
        return cls(
            for_all,
            {owner: replace(for_all, **some) for owner, some in own.items()},  # type: ignore[arg-type]
        )


def cost(turn: Turn) -> int:
    """Estimate the tokens of a turn's prompt and response, until it has ended."""
    characters = sum(map(_characters, turn.input))
    characters += len(turn.request.instructions or "")
    answer = turn.request.sampling.max_tokens or ANSWER_TOKENS
    prompt = -(-characters // _CHARACTERS_PER_TOKEN) + len(turn.request.prompt_ids)
    tokens = prompt + answer
    return tokens if turn.context is None else min(tokens, turn.context)


def _characters(item: Item) -> int:
    match item:
        case Message():
            return len(item.text)
        case FunctionCall():
            return len(item.name) + len(item.arguments)
        case FunctionCallOutput():
            return len(item.output)
        case _:
            assert_never(item)


def _value(name: str, value: str) -> int | frozenset[Tier]:
    if name == "tiers":
        named = frozenset(tier for tier in _TIERS if tier in value.split("+"))
        if len(named) != len(value.split("+")):
            raise SettingError("LIMITS", f"tiers are some of {'+'.join(_TIERS)}, not {value!r}")
        return named
    if name not in {field.name for field in fields(Limits)}:
        raise SettingError("LIMITS", f"has no limit {name!r}")
    if not value.isdigit():
        raise SettingError("LIMITS", f"{name} must be a whole number, not {value!r}")
    return int(value)
