"""What one owner sends at once is not dealt with before what another has sent since."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import redis.asyncio

from turnstream.turns.client import open_client
from turnstream.turns.settings import TurnSettings
from turnstream.turns.traces import NO_TRACES
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.grammar_check import GrammarCheck
from turnstream.ws_server.reading import Reading
from turnstream.ws_server.settings import SocketLimits
from turnstream.ws_server.socket import Session
from turnstream.ws_server.visitor import Visitor


class FullSocket:
    """A socket with messages that have all arrived; it notes whose are answered."""

    def __init__(self, owner: str, messages: int, answered: list[str]) -> None:
        self.query_params: dict[str, str] = {}
        self._owner = owner
        self._left = messages
        self._answered = answered

    async def receive(self) -> dict[str, str]:
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(0.05)
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "text": json.dumps({"type": "nonsense"})}

    async def send_text(self, text: str) -> None:
        self._answered.append(self._owner)

    async def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


async def test_the_messages_of_an_owner_are_not_all_read_before_anothers() -> None:
    answered: list[str] = []
    reading = Reading(1000)

    def session(owner: str, messages: int) -> Session:
        socket: Any = FullSocket(owner, messages, answered)
        state: Any = SimpleNamespace(
            turn_client=None,
            directory=None,
            grammars=GrammarCheck(),
            reading=reading,
            access=None,
            owner_feeds=None,
            traces=NO_TRACES,
        )
        return Session(
            socket,
            state,
            ByteRoom(10**6, "All").begin(owner),
            Visitor(owner=owner),
            model=None,
            limits=SocketLimits(),
        )

    sessions = [session("ann", 20) for _ in range(30)] + [session("bob", 1)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(each.run() for each in sessions))

    assert len(answered) == 601
    assert answered.index("bob") < 60


async def test_a_burst_that_finds_the_models_out_of_date_reads_them_once(
    redis_url: str, redis: "redis.asyncio.Redis"
) -> None:
    async def reads() -> int:
        found: dict[str, Any] = await redis.info("commandstats")
        return int(found.get("cmdstat_hgetall", {"calls": 0})["calls"])

    async with open_client(TurnSettings(redis_url=redis_url), "n") as turn_client:
        directory = Directory(turn_client, "tiny")
        before = await reads()
        await asyncio.gather(*(directory.find(None) for _ in range(100)))
        # The first, and one for all that came while it read.
        assert await reads() - before <= 2
