"""Redis clients for the calls that a turn waits for: each has one connection of its own.

Taking a connection from redis-py's pool, and guarding each of its waits, costs more than most of
the scripts. A pipeline or a subscription of such a client still takes one from the pool.
"""

import asyncio
import math
from collections import deque
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from turnstream.turns.prefixed_clients import AsyncClient, Client, prefixed


class ThreadClient(Client):
    """A blocking client, for one thread at a time."""

    _own: Any = None

    def execute_command(self, *arguments: Any, **_: Any) -> Any:
        """Send a command; repeat it once if the connection was closed."""
        command = prefixed(self.key_prefix, arguments) if self.key_prefix else arguments
        if self._own is None:
            self._own = self.connection_pool.make_connection()
        try:
            return self._sent(command)
        except RedisConnectionError:
            return self._sent(command)

    def _sent(self, command: tuple[Any, ...]) -> Any:
        try:
            # Sending connects as well, but does not ask Sentinels where to.
            self._own.connect()
            self._own.send_command(*command, check_health=False)
            return self._own.read_response()
        except RedisConnectionError:
            # A reply such as LOADING is one too, and leaves the connection open.
            self._own.disconnect()
            raise


class LoopClient(AsyncClient):
    """An asyncio client. All calls share the connection, so none of them may take long."""

    #: How long a call may take; the connection itself waits without a limit.
    seconds = math.inf
    _link: "_Link | None" = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._linking = asyncio.Lock()

    async def execute_command(self, *arguments: Any, **_: Any) -> Any:
        """Send a command; repeat it once if the connection was closed."""
        command = prefixed(self.key_prefix, arguments) if self.key_prefix else arguments
        try:
            return await self._sent(command)
        except RedisConnectionError:
            return await self._sent(command)

    async def _sent(self, command: tuple[Any, ...]) -> Any:
        link = self._link
        try:
            async with asyncio.timeout(self.seconds):
                if link is None or link.closed:
                    link = await self._new_link()
                return await link.call(command)
        except TimeoutError as exc:
            if link is not None:
                # What comes after it on this connection would be as late.
                await link.close()
            raise RedisTimeoutError("Timeout reading from socket") from exc

    async def _new_link(self) -> "_Link":
        async with self._linking:
            if self._link is None or self._link.closed:
                pool: Any = self.connection_pool
                connection = pool.make_connection()
                try:
                    await connection.connect()
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                self._link = _Link(connection)
            return self._link

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        if self._link is not None:
            await self._link.close()
        await super().aclose(close_connection_pool)


class _Link:
    """A connection whose replies go to the callers in the order of their commands."""

    def __init__(self, connection: Any) -> None:
        self.closed = False
        self._connection = connection
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read(), name="replies of Redis")

    async def call(self, command: tuple[Any, ...]) -> Any:
        reply = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        packed = self._connection.pack_command(*command)
        # This writes before it waits for anything, so the order is that of `_waiting`.
        await self._connection.send_packed_command(packed, check_health=False)
        return await reply

    async def close(self) -> None:
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader

    async def _read(self) -> None:
        lost: BaseException = RedisConnectionError("Connection closed")
        try:
            while True:
                try:
                    reply = await self._connection.read_response(timeout=math.inf)
                except ResponseError as exc:
                    reply = exc
                waiting = self._waiting.popleft()
                if waiting.done():
                    continue
                if isinstance(reply, ResponseError):
                    waiting.set_exception(reply)
                else:
                    waiting.set_result(reply)
        except RedisError as exc:
            lost = exc
        finally:
            self.closed = True
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_exception(lost)
            await self._connection.disconnect(nowait=True)
