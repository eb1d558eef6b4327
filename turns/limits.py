"""How much each owner may ask for, and in which tiers.

Turns of batches are not counted: a runner keeps a bounded number of them in the queue.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from turnstream.turns import environment
from turnstream.turns.environment import SettingError
from turnstream.turns.errors import TierNotAllowed
from turnstream.turns.limit_use import Left, LimitUse
from turnstream.turns.turn import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Request,
    Tier,
    Turn,
)

#: Output tokens reserved for a turn whose request sets no maximum.
ANSWER_TOKENS = 256
_CHARACTERS_PER_TOKEN = 4
_TIERS: tuple[Tier, ...] = ("priority", "default", "flex", "batch")
_ENTRY = re.compile(r"(?:([A-Za-z0-9_.-]{1,64}):)?([a-z_]+=[a-z0-9+]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one owner may ask for; 0 is no limit."""

    #: Turns that have not ended.
    in_flight: int = 4096
    #: Turns that no worker has begun.
    queued: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    #: Budgets: tokens of prompts and answers in a day and in a month, UTC. Those of batches count.
    tokens_per_day: int = 0
    tokens_per_month: int = 0
    #: Requests that are answered without a turn in the queue: warm-ups; counts and compactions.
    warm_ups_per_minute: int = 1200
    counts_per_minute: int = 1200
    client_tokens_per_minute: int = 600
    #: Bytes of turns that are kept in Redis: what was asked and answered.
    stored_bytes: int = 2**30
    #: Bytes of uploaded files and of the results of batches.
    file_bytes: int = 20 * 2**30
    #: Batches that have not ended.
    batches: int = 100
    tiers: frozenset[Tier] = frozenset(_TIERS)

    def check_tier(self, tier: Tier) -> None:
        """Check that the owner may submit in a tier.

        Raises:
            TierNotAllowed: the owner may not.
        """
        if tier not in self.tiers:
            raise TierNotAllowed(tier, [name for name in _TIERS if name in self.tiers])

    def use(self, requests: int, tokens: int, today: int = 0, this_month: int = 0) -> LimitUse:
        """Return what is left after so much was used within the last minute, and of budgets."""
        left = budget_ends_ms()
        return LimitUse(
            Left.of(self.requests_per_minute, requests),
            Left.of(self.tokens_per_minute, tokens),
            Left.of_budget(self.tokens_per_day, today, left["tokens_per_day"]),
            Left.of_budget(self.tokens_per_month, this_month, left["tokens_per_month"]),
        )

    def changed(self, text: str) -> "Limits":
        """Return these limits with those of a text, such as `queued=10 tiers=default+flex`.

        Raises:
            ValueError: one of them can't be read; it says which.
        """
        values: dict[str, int | frozenset[Tier]] = {}
        for entry in text.replace(",", " ").split():
            name, equals, value = entry.partition("=")
            if not equals:
                raise ValueError(f"must be a list of NAME=VALUE, not {entry!r}")
            values[name] = _value(name, value)
        return replace(self, **values)  # type: ignore[arg-type]

    @property
    def numbers(self) -> dict[str, int]:
        """The limits by name: an argument of scripts."""
        return {each: getattr(self, each) for each in _NUMBERS}


_NUMBERS = tuple(each.name for each in fields(Limits) if each.name != "tiers")


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """The limits of the settings: for all owners, and of those with limits of their own."""

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
        written: dict[str | None, str] = {}
        for entry in environ.get(environment.PREFIX + "LIMITS", "").replace(",", " ").split():
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise SettingError("LIMITS", f"must be a list of [OWNER:]NAME=VALUE, not {entry!r}")
            owner, limit = match.groups()
            written[owner] = f"{written.get(owner, '')} {limit}"
        try:
            for_all = Limits().changed(written.pop(None, ""))
            return cls(
                for_all, {str(owner): for_all.changed(text) for owner, text in written.items()}
            )
        except ValueError as exc:
            raise SettingError("LIMITS", str(exc)) from exc


def cost(turn: Turn) -> int:
    """Estimate the tokens of a turn's prompt and response, until it has ended."""
    tokens = cost_of(turn.input, turn.request)
    return tokens if turn.context is None else min(tokens, turn.context)


def cost_of(input: Sequence[Item], request: Request) -> int:
    """Return the same for a turn whose model's context is not known."""
    characters = sum(map(_characters, input))
    characters += len(request.instructions or "")
    answer = request.sampling.max_tokens or ANSWER_TOKENS
    prompt = -(-characters // _CHARACTERS_PER_TOKEN) + len(request.prompt_ids)
    return prompt + answer


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


def tiers_of(text: str) -> frozenset[Tier]:
    """Read tiers, `TIER+TIER`.

    Raises:
        ValueError: there is another name among them.
    """
    named = frozenset(tier for tier in _TIERS if tier in text.split("+"))
    if len(named) != len(text.split("+")):
        raise ValueError(f"tiers are some of {'+'.join(_TIERS)}, not {text!r}")
    return named


def budget_ends_ms() -> dict[str, int]:
    """Return in how many milliseconds the budgets of today and of this month begin anew, UTC."""
    now = datetime.now(UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    month = (day.replace(day=1) + timedelta(days=31)).replace(day=1) if day.day > 1 else day
    ends = {"tokens_per_day": day, "tokens_per_month": month}
    return {name: int((end - now).total_seconds() * 1000) for name, end in ends.items()}


def _value(name: str, value: str) -> int | frozenset[Tier]:
    if name == "tiers":
        return tiers_of(value)
    if name not in _NUMBERS:
        raise ValueError(f"has no limit {name!r}")
    if not value.isdigit():
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(value)
