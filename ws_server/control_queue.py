"""What a socket does beside its lanes: it stops turns and says what waits for nobody's turn."""

import asyncio
from dataclasses import dataclass

from turnstream.turns.errors import BadRequest, ResponseNotFound, TurnError
from turnstream.ws_server.frames import Refusal
from turnstream.ws_server.lane import Connection, Lane

#: ControlQueue that wait to be carried out; a client that asks for more is cut off.
MOST = 64


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a turn; that it can't be stopped is said on the lane that asked, in its turn."""

    lane: Lane
    response_id: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message."""

    text: str


class ControlQueue:
    """Carries out one errand after the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: asyncio.Queue[Stop | Say] = asyncio.Queue(MOST)

    def put(self, errand: Stop | Say) -> None:
        """Take on an errand; never waits.

        Raises:
            asyncio.QueueFull: there are too many.
        """
        self._waiting.put_nowait(errand)

    async def run(self) -> None:
        """Carry them out until the client has left.

        Raises:
            WebSocketDisconnect: it has.
            TooManyWaiting: a lane has no room to say that a turn can't be stopped.
        """
        while True:
            match await self._waiting.get():
                case Say(text=text):
                    await self._connection.send(text)
                case Stop(lane=lane, response_id=id):
                    await self._stop(lane, id)

    async def _stop(self, lane: Lane, response_id: str) -> None:
        try:
            await self._connection.turn_client.cancel(response_id, self._connection.owner)
        except ResponseNotFound:
            # Whether it was ever there is nobody's business, least of all another owner's.
            ended = f"Response '{response_id[:80]}' is not being answered."
            lane.put(Refusal(BadRequest(ended, code="response_not_active", param="response_id")))
        except TurnError as exc:
            lane.put(Refusal(exc))
