"""Steer running responses for a socket: take input, and say what became of it at the end.

An answer to `response.steer` is sent before the end of its response, whichever Redis says first:
`answered` holds the lane's last event back until then.
"""

import asyncio
import json

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import ResponseNotFound, TurnError
from turnstream.turns.event_json import encode
from turnstream.turns.ids import is_response_id
from turnstream.turns.shapes import FunctionCallItem, OutputItem, Steering
from turnstream.turns.steering import QueuedSteer, Steer, SteerRefused, key_of
from turnstream.ws_server import frames
from turnstream.ws_server.socket_bodies import (
    RequiredOutput,
    ReturnedSteer,
    SteerAccepted,
    SteerError,
    SteerFailed,
    SteerPending,
    TakenSteer,
)
from turnstream.ws_server.socket_key import SocketKey
from turnstream.ws_server.unexpected import confined


class _Answer(Struct, frozen=True):
    output: tuple[OutputItem, ...] = ()


class _Last(Struct, frozen=True):
    """What is read of the last event of a response."""

    response: _Answer = _Answer()


class UnansweredSteers:
    """Counts the steers of a socket, which are answered in order."""

    def __init__(self) -> None:
        self._asked = self._answered = 0
        self._changed = asyncio.Event()

    def add(self) -> None:
        """Count one more."""
        self._asked += 1

    def remove(self) -> None:
        """Note that the oldest was answered."""
        self._answered += 1
        self._changed.set()

    async def answered(self) -> None:
        """Wait until those that were sent so far are answered, or Redis is given up for them."""
        asked = self._asked
        while self._answered < asked:
            self._changed.clear()
            await self._changed.wait()


async def steer(
    asked: frames.Steer, socket_key: SocketKey, turn_client: TurnClient, stream_id: str | None
) -> str:
    """Queue input for a running response; return the frame that answers it."""
    id = asked.response_id
    try:
        with confined("a steer"):
            if isinstance(asked.items, TurnError):
                raise SteerRefused("invalid_input", asked.items.message)
            if not is_response_id(id):
                raise ResponseNotFound(id[:80])
            visitor = socket_key.current()
            await visitor.check_steer(id, turn_client)
            target = await turn_client.steering.target(id, visitor.owner)
            visitor.check_tier(target.tier)
            api_key, limit = visitor.limited_key
            said = Steer(
                items=asked.items,
                input=_json(asked.input),
                key=key_of(asked.items, asked.idempotency_key),
                api_key=api_key,
                requests_per_minute=limit,
            )
            taken = await turn_client.steering.steer(target, said)
    except TurnError as exc:
        known = exc.steer_id if isinstance(exc, SteerRefused) else None
        return _failed(id, _json(asked.input), exc, known, stream_id, asked.idempotency_key)
    accepted = TakenSteer(
        id=taken, previous_response_id=id, idempotency_key=_unless_none(asked.idempotency_key)
    )
    return encode(SteerAccepted(steer=accepted, stream_id=_unless_none(stream_id)))


async def unused(
    event: bytes,
    steering: Steering,
    response_id: str,
    owner: str,
    turn_client: TurnClient,
    stream_id: str | None,
) -> list[str]:
    """Return the frames that tell of the input that no turn has taken, after a last event."""
    if steering.outcome == "continued":
        return []
    left = await turn_client.steering.left(response_id, owner, steering.outcome)
    if steering.outcome == "failed":
        why = SteerRefused("response_not_active")
        return [_failed(response_id, each.input, why, each.id, stream_id) for each in left]
    output = msgspec.json.decode(event, type=_Last).response.output
    required = tuple(
        RequiredOutput(call_id=item.call_id, name=item.name)
        for item in output
        if isinstance(item, FunctionCallItem)
    )
    return [_pending(response_id, each, required, stream_id) for each in left]


def _pending(
    response_id: str,
    queued: QueuedSteer,
    required: tuple[RequiredOutput, ...],
    stream_id: str | None,
) -> str:
    return encode(
        SteerPending(
            steer=TakenSteer(id=queued.id, previous_response_id=response_id),
            required_input=required,
            stream_id=_unless_none(stream_id),
        )
    )


def _failed(
    response_id: str,
    input: str,
    error: TurnError,
    steer_id: str | None,
    stream_id: str | None,
    key: str | None = None,
) -> str:
    return encode(
        SteerFailed(
            steer=ReturnedSteer(
                id=_unless_none(steer_id),
                previous_response_id=response_id,
                input=Raw(input.encode()),
                idempotency_key=_unless_none(key),
            ),
            error=SteerError(code=error.code, message=error.message),
            stream_id=_unless_none(stream_id),
        )
    )


def _json(input: object) -> str:
    # msgspec cannot encode integers beyond 64 bits, which a client's input may hold.
    return json.dumps(input)


def _unless_none(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value
