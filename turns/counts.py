"""A node's door to those who can count tokens."""

import asyncio
import secrets

import redis.asyncio

from turnstream.turns.count import Count, count_from_json
from turnstream.turns.errors import BadRequest, NewerVersion, Overloaded, PreviousResponseNotFound
from turnstream.turns.lua import Script
from turnstream.turns.patience import Patience
from turnstream.turns.relay import Relay
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import conversation
from turnstream.turns.turn import Turn, messages_to_json

#: How long an answer is waited for; a worker that lives has one within milliseconds.
WAIT_SECONDS = 5.0
#: Questions that may wait for the workers of a model; one more is refused.
MOST = 256


class Counts:
    """Asks workers, and hears what they say through the node's relay."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        patience: Patience,
        relay: Relay,
        settings: TurnSettings,
        node: str,
    ) -> None:
        self._patience = patience
        self._relay = relay
        self._settings = settings
        self._node = node
        self._ask = Script(client, "count")

    async def count(self, turn: Turn, *, compact: bool = False) -> Count:
        """Count the tokens of a turn that is never handed in.

        Args:
            compact: also say which of the conversation is worth keeping.

        Raises:
            PreviousResponseNotFound: its parent is not there, not the owner's, or not stored.
            BadRequest: its parent is still being answered, or it can't be written as a prompt.
            Overloaded: no worker answers, too many ask, or Redis is away.
        """
        listener = _Listener(f"count_{secrets.token_hex(16)}")
        self._relay.add(listener)
        try:
            await self._put(turn, listener.turn_id, compact=compact)
            async with asyncio.timeout(WAIT_SECONDS):
                return count_from_json(await listener.heard)
        except TimeoutError as exc:
            raise Overloaded(f"No worker of model '{turn.model}' answered in time.") from exc
        finally:
            self._relay.remove(listener)

    async def _put(self, turn: Turn, id: str, *, compact: bool) -> None:
        call = self._ask(
            id=id,
            node=self._node,
            owner=turn.owner,
            model=turn.model,
            **conversation(turn),
            has_question=turn.asks or compact,
            compact=compact,
            alive_ms=self._settings.alive_ms,
            max_waiting=MOST,
            wait_seconds=int(WAIT_SECONDS),
            store_seconds=self._settings.store_seconds,
            unstored_seconds=self._settings.unstored_seconds,
            payloads=[turn.request.to_json(), messages_to_json(turn.messages)],
        )
        match await self._patience.answer(call):
            case b"ok":
                return
            case b"newer_version":
                raise NewerVersion(turn.parent or "")
            case b"previous_response_not_found":
                raise PreviousResponseNotFound(turn.parent or "")
            case b"previous_response_running":
                raise BadRequest(
                    f"Previous response '{turn.parent}' is still being answered.",
                    code="previous_response_running",
                    param="previous_response_id",
                )
            case b"no_question":
                raise BadRequest("'input' must be a question.", param="input")
            case b"no_worker":
                raise Overloaded(f"No worker of model '{turn.model}' is there.")
            case _:
                raise Overloaded("Too many want tokens to be counted. Try again later.")


class _Listener:
    """Waits for the one letter that is sent to its name."""

    def __init__(self, id: str) -> None:
        self.turn_id = id
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def deliver(self, seq: int, event: bytes, *, last: bool) -> None:
        if not self.heard.done():
            self.heard.set_result(event)

    def resync(self) -> None:
        """What was missed is not told again: the time runs out, and the client asks anew."""
