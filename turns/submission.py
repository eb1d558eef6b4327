"""What the scripts that make a turn are told of it, whoever hands it in."""

from turnstream.turns.limits import cost
from turnstream.turns.response import finished_rest, rest_of
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn, messages_to_json
from turnstream.turns.wake_up import WakeUp


def submission(
    turn: Turn, settings: TurnSettings, wake_up: WakeUp, *, node: str
) -> list[str | int]:
    """Write the script's arguments, in its order; `node` follows the turn."""
    return [
        turn.id,
        turn.owner,
        turn.model,
        turn.tier,
        node,
        turn.parent or "",
        int(turn.parent_cached),
        int(turn.store),
        turn.request.to_json(),
        messages_to_json(turn.messages),
        rest_of(turn),
        wake_up.text(turn.id),
        settings.alive_ms,
        settings.max_queued,
        settings.store_seconds,
        settings.unstored_seconds,
        turn.idempotency_key or "",
        turn.fingerprint,
        settings.turn_seconds,
        0 if turn.background else settings.watch_seconds * 1000,
        settings.log_seconds,
        *((turn.batch.batch, turn.batch.epoch, turn.batch.number) if turn.batch else ("", 0, 0)),
        int(turn.asks),
        *settings.limits.of(turn.owner).numbers,
        cost(turn),
    ]


def warm_up(turn: Turn, settings: TurnSettings) -> list[str | int]:
    """Write the warm-up script's arguments, in its order."""
    rest = rest_of(turn)
    nothing = finished_rest(
        rest,
        item=None,
        incomplete_reason=None,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        completed_at=turn.created_at,
    )
    return [
        turn.id,
        turn.owner,
        turn.model,
        int(turn.store),
        turn.parent or "",
        int(turn.parent_cached),
        int(turn.asks),
        int(any(message.role != "system" for message in turn.messages)),
        turn.request.to_json(),
        messages_to_json(turn.messages),
        rest,
        nothing,
        *settings.kept_seconds,
    ]
