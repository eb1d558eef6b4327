"""Arguments of the scripts that create a turn, and the errors that these and a cancel reply."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from turnstream.turns.errors import (
    BadRequest,
    CallNotFound,
    ConversationLocked,
    ConversationNotFound,
    ConversationTooLong,
    NewerVersion,
    NothingToAnswer,
    Overloaded,
    PreviousResponseNotFound,
    QuotaExceeded,
    RateLimited,
    ResponseNotFound,
    TurnError,
)
from turnstream.turns.limit_use import NO_LIMITS, LimitUse
from turnstream.turns.limits import Limits, budget_ends_ms, cost
from turnstream.turns.response import finished_response, new_response
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Turn, items_to_json, spoken_at, unmatched_outputs
from turnstream.turns.wake_up import WakeUp


def submission(
    turn: Turn, settings: TurnSettings, limits: Limits, wake_up: WakeUp, *, node: str
) -> dict[str, Any]:
    """Return the arguments of submit.lua; `node` follows the turn."""
    arguments = {
        **_common(turn, settings, limits),
        "tier": turn.tier,
        "node": node,
        "alive_ms": settings.alive_ms,
        "watch_ms": 0 if turn.background else settings.unread_seconds * 1000,
        "max_queued": settings.max_queued,
        "turn_seconds": settings.turn_seconds,
        "tokens": cost(turn),
        "day": today(),
        "siblings": turn.siblings,
        "request_id": turn.origin.request_id or None,
        "traceparent": turn.origin.traceparent or None,
        "payloads": [*_payloads(turn), new_response(turn), wake_up.text(turn.id)],
    }
    if turn.requests_per_minute:
        arguments |= {"api_key": turn.api_key, "requests_per_minute": turn.requests_per_minute}
    if turn.idempotency_key:
        arguments |= {"idempotency_key": turn.idempotency_key, "fingerprint": turn.fingerprint}
    if turn.previous_response_id is not None:
        arguments["calls"] = unmatched_outputs(turn.input)
    if turn.batch is not None:
        batch = turn.batch
        arguments |= {"batch": batch.batch, "epoch": batch.epoch, "line": batch.number}
    return arguments


def warm_up(turn: Turn, settings: TurnSettings, limits: Limits) -> dict[str, Any]:
    """Return the arguments of warm_up.lua."""
    response = new_response(turn)
    finished = finished_response(
        response,
        output=(),
        incomplete_reason=None,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        completed_at=turn.created_at,
    )
    return {
        **_common(turn, settings, limits),
        "has_messages": spoken_at(turn.input) is not None,
        "payloads": [*_payloads(turn), response, finished],
    }


def _common(turn: Turn, settings: TurnSettings, limits: Limits) -> dict[str, Any]:
    system = [item for item in turn.input if isinstance(item, Message) and item.role == "system"]
    return {
        "id": turn.id,
        "owner": turn.owner,
        "model": turn.model,
        "store": turn.store,
        "has_question": turn.asks or turn.request.raw,
        "system": items_to_json(system) if system else None,
        **conversation_arguments(turn),
        **settings.retention,
        **settings.conversation,
        "limits": limits.numbers,
    }


def conversation_arguments(turn: Turn) -> dict[str, Any]:
    """Return the arguments that conversation.lua needs, but for the retention."""
    if turn.conversation is not None:
        return {"conversation": turn.conversation}
    if turn.previous_response_id is None:
        return {}
    return {
        "previous_response_id": turn.previous_response_id,
        "previous_response_cached": turn.previous_cached,
    }


def refusal(reply: Sequence[Any], turn: Turn, settings: TurnSettings, limits: Limits) -> TurnError:
    """Return the error of a submit or a warm-up that was refused, from the script's reply."""
    match reply:
        case [b"idempotency_key_reused"]:
            return BadRequest(
                "This idempotency key was used for another request.",
                code="idempotency_key_reused",
                param="idempotency_key",
            )
        case [b"no_question"]:
            return NothingToAnswer()
        case [b"call_not_found", call_id]:
            return CallNotFound(call_id.decode())
        case [b"conversation_too_long", b"turns"]:
            return ConversationTooLong(f"{settings.conversation_turns} turns")
        case [b"conversation_too_long", _]:
            return ConversationTooLong(f"{settings.conversation_bytes} bytes")
        case [b"limited", *at]:
            return limit_reached(at, limits, turn.requests_per_minute)
        case [word]:
            too_many = Overloaded("Too many turns are waiting. Try again later.")
            return refused_continuation(word, turn) or too_many
        case _:
            raise AssertionError("a script returned an unknown reply")


def limit_reached(at: Sequence[Any], limits: Limits, requests_per_minute: int) -> RateLimited:
    """Return the error of a script's reply: limit, milliseconds, and what is used if it is known.

    Args:
        requests_per_minute: of the key, if that limit is not the owner's.
    """
    limit, wait_ms, *used = at
    if limit == b"requests_per_minute" and not used:
        limits = replace(limits, requests_per_minute=requests_per_minute)
    return limited(limit.decode(), limits, wait_ms, limits.use(*used) if used else NO_LIMITS)


def limited(limit: str, limits: Limits, wait_ms: int, use: LimitUse = NO_LIMITS) -> RateLimited:
    """Return the error for a limit, or a budget, that is reached."""
    most: int = getattr(limits, limit)
    if (ends_ms := budget_ends_ms().get(limit)) is not None:
        return QuotaExceeded(limit, most, ends_ms, use)
    return RateLimited(limit, most, wait_ms, use)


def today() -> str:
    """Return the day whose budget is spent now."""
    return datetime.now(UTC).date().isoformat()


def refused_cancel(reply: bytes, id: str) -> TurnError | None:
    """Return the error of a cancel that was refused, from the script's reply; else None."""
    match reply:
        case b"newer_version":
            return NewerVersion(id)
        case b"response_not_found":
            return ResponseNotFound(id)
        case b"response_not_active":
            return BadRequest(
                f"Response '{id}' has ended already.",
                code="response_not_active",
                param="response_id",
            )
        case _:
            return None


def refused_continuation(word: bytes, turn: Turn) -> TurnError | None:
    """Return the error of a script that can't continue what a turn is to continue; else None."""
    previous = turn.conversation or turn.previous_response_id or ""
    match word:
        case b"conversation_not_found":
            return ConversationNotFound(previous)
        case b"conversation_locked":
            return ConversationLocked(f"conversation '{previous}'")
        case b"previous_response_not_found":
            return PreviousResponseNotFound(previous)
        case b"previous_response_running":
            return BadRequest(
                f"Previous response '{previous}' is still being answered.",
                code="previous_response_running",
                param="previous_response_id",
            )
        case b"newer_version":
            return NewerVersion(previous)
        case _:
            return None


def _payloads(turn: Turn) -> tuple[str, str]:
    return turn.request.to_json(), items_to_json(turn.input)
