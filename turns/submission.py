"""What the submit script is told of a turn, whoever hands it in."""

from turns.bell import Bell
from turns.response import rest_of
from turns.settings import TurnSettings
from turns.turn import Turn, messages_to_json


def submission(turn: Turn, settings: TurnSettings, bell: Bell, *, node: str) -> list[str | int]:
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
        bell.text(turn.id),
        settings.alive_ms,
        settings.longest_line,
        settings.store_seconds,
        settings.unstored_seconds,
        turn.idempotency_key or "",
        turn.fingerprint,
        settings.turn_seconds,
        0 if turn.background else settings.watch_seconds * 1000,
        settings.log_seconds,
        *((turn.job.job, turn.job.epoch, turn.job.number) if turn.job else ("", 0, 0)),
    ]
