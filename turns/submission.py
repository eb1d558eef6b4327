"""Arguments of the scripts that create a turn, for nodes and for the runners of batches."""

from typing import Any

from turnstream.turns.errors import (
    BadRequest,
    ConversationLocked,
    ConversationNotFound,
    NewerVersion,
    PreviousResponseNotFound,
    TurnError,
)
from turnstream.turns.limits import cost
from turnstream.turns.response import finished_response, new_response
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn, items_to_json, spoken_at, unmatched_outputs
from turnstream.turns.wake_up import WakeUp


def submission(turn: Turn, settings: TurnSettings, wake_up: WakeUp, *, node: str) -> dict[str, Any]:
    """Return the arguments of submit.lua; `node` follows the turn."""
    arguments = {
        **_common(turn),
        "tier": turn.tier,
        "node": node,
        "alive_ms": settings.alive_ms,
        "watch_ms": 0 if turn.background else settings.unread_seconds * 1000,
        "max_queued": settings.max_queued,
        "turn_seconds": settings.turn_seconds,
        **settings.retention,
        "limits": settings.limits.of(turn.owner).numbers,
        "tokens": cost(turn),
        "siblings": turn.siblings,
        "payloads": [*_payloads(turn), new_response(turn), wake_up.text(turn.id)],
    }
    if turn.idempotency_key:
        arguments |= {"idempotency_key": turn.idempotency_key, "fingerprint": turn.fingerprint}
    if turn.previous_response_id is not None:
        arguments["calls"] = unmatched_outputs(turn.input)
    if turn.batch is not None:
        batch = turn.batch
        arguments |= {"batch": batch.batch, "epoch": batch.epoch, "line": batch.number}
    return arguments


def warm_up(turn: Turn, settings: TurnSettings) -> dict[str, Any]:
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
        **_common(turn),
        "has_messages": spoken_at(turn.input) is not None,
        **settings.retention,
        "payloads": [*_payloads(turn), response, finished],
    }


def _common(turn: Turn) -> dict[str, Any]:
    return {
        "id": turn.id,
        "owner": turn.owner,
        "model": turn.model,
        "store": turn.store,
        "has_question": turn.asks or turn.request.raw,
        **conversation_arguments(turn),
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
