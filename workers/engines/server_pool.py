"""Chooses a server for each turn, and watches which of them can be used.

A turn waits here while all servers that can be used are full; where none can be used for too long,
the pool gives up, and with it the engine: other workers may reach servers that this one does not.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from turnstream.workers.engines.prefix_memory import PrefixMemory
from turnstream.workers.engines.remote_errors import ServerFailed, ServerUnfit
from turnstream.workers.engines.remote_server import RemoteServer

log = logging.getLogger(__name__)

#: Interval of questions about a server's health; it is lost when two in a row are not answered.
HEALTH_SECONDS = 2.0
#: How many more turns than the least loaded server the one that has a turn's beginning may have.
MORE_TURNS = 8


class NoServer(Exception):
    """No server could be used for too long."""


class ServerPool:
    """The servers of an engine; belongs to one event loop, but for `free` and `usable`.

    Args:
        concurrency: turns at one server at the same time.
        capacity: turns at all servers together.
        timeout: how long no server may be usable, in seconds.
    """

    def __init__(
        self,
        servers: Sequence[RemoteServer],
        *,
        concurrency: int,
        capacity: int,
        timeout: float,
    ) -> None:
        self.servers = servers
        #: What every server must take; 0 before it is known.
        self._context = 0
        self._concurrency = concurrency
        self._capacity = capacity
        self._timeout = timeout
        self._prefixes = PrefixMemory()
        #: Turns that wait: low priority last, then the earliest first.
        self._waiting: list[tuple[bool, int, Sequence[int], str, asyncio.Future[RemoteServer]]] = []
        self._numbers = itertools.count()

    @property
    def running(self) -> int:
        """Turns at all servers."""
        return sum(server.running for server in self.servers)

    @property
    def room(self) -> int:
        """Turns that the servers which can be used may have together."""
        usable = sum(server.usable for server in self.servers)
        return min(self._capacity, usable * self._concurrency)

    async def found(self) -> None:
        """Wait until a server can be used; log now and then why none can be.

        Raises:
            ServerUnfit: all servers answer, and none can ever be used.
        """
        while True:
            problems = await asyncio.gather(*map(self._look, self.servers))
            if any(problem is None for problem in problems):
                return
            if all(isinstance(problem, ServerUnfit) for problem in problems):
                raise ServerUnfit("; ".join(f"{s.url}: {s.problem}" for s in self.servers))
            await asyncio.sleep(min(server.pause for server in self.servers))

    def agree_on_context(self, wanted: int | None, longest: int | None) -> int:
        """Return the context of all servers that can be used; later ones must have it, too.

        Args:
            wanted: None: as long as possible.
            longest: what the model itself has, if its config says it.

        Raises:
            ServerUnfit: it is shorter than what is wanted, or nobody says how long it is.
        """
        known = [server.abilities.context for server in self.servers if server.usable]
        shortest = min([each for each in known if each is not None], default=longest)
        if wanted is not None and shortest is not None and wanted > shortest:
            raise ServerUnfit(f"context {wanted}: the servers take {shortest} tokens")
        context = wanted or shortest
        if context is None:
            raise ServerUnfit("the servers name no longest context; set TURNSTREAM_CONTEXT")
        self._context = context
        return context

    async def watch(self) -> None:
        """Look after all servers for ever.

        Raises:
            NoServer: none could be used for too long.
        """
        async with asyncio.TaskGroup() as tasks:
            for server in self.servers:
                tasks.create_task(self._watch(server))
            tasks.create_task(self._notice_loss_of_all())

    @asynccontextmanager
    async def place(
        self, ids: Sequence[int], salt: str, *, low_priority: bool
    ) -> AsyncIterator[RemoteServer]:
        """Wait for a place at a server, and hold it.

        Args:
            ids: the text that is to go on.
            salt: whose texts it shares.
        """
        chosen: asyncio.Future[RemoteServer] = asyncio.get_running_loop().create_future()
        place = (low_priority, next(self._numbers), ids, salt, chosen)
        heapq.heappush(self._waiting, place)
        self._fill()
        try:
            server = await chosen
        except asyncio.CancelledError:
            # It may have been chosen at the same moment.
            if chosen.done() and not chosen.cancelled():
                self._leave(chosen.result())
            raise
        try:
            yield server
        finally:
            self._leave(server)

    def remember(self, server: RemoteServer, ids: Sequence[int], salt: str) -> None:
        """Note which text a server has computed."""
        self._prefixes.remember(salt, ids, self.servers.index(server))

    def _leave(self, server: RemoteServer) -> None:
        server.running -= 1
        self._fill()

    def _fill(self) -> None:
        """Give waiting turns the places that are free."""
        while self._waiting:
            *_, ids, salt, chosen = self._waiting[0]
            if not chosen.done():
                server = self._choose(ids, salt)
                if server is None:
                    return
                server.running += 1
                server.given += 1
                chosen.set_result(server)
            heapq.heappop(self._waiting)

    def _choose(self, ids: Sequence[int], salt: str) -> RemoteServer | None:
        """Return the server that has computed the beginning of a text, or the least loaded one."""
        free = [s for s in self.servers if s.usable and s.running < self._concurrency]
        if not free or self.running >= self._capacity:
            return None
        least = min(free, key=lambda server: (server.running, server.given))
        known = self._prefixes.find(salt, ids)
        if known is not None:
            server = self.servers[known]
            if server in free and server.running <= least.running + MORE_TURNS:
                return server
        return least

    async def _watch(self, server: RemoteServer) -> None:
        while True:
            if server.usable:
                await asyncio.sleep(HEALTH_SECONDS)
                await self._check(server)
            else:
                await asyncio.sleep(server.pause)
                if await self._look(server) is None:
                    log.info("%s: can be used again", server.url)
                    self._fill()

    async def _check(self, server: RemoteServer) -> None:
        """Ask for a server's health, twice if need be; lose the server if it does not answer."""
        for last in (False, True):
            try:
                await server.check()
            except ServerFailed as exc:
                if last:
                    server.lose(exc)
                    log.warning("%s: lost: %s", server.url, server.problem)
            else:
                return

    async def _look(self, server: RemoteServer) -> ServerFailed | None:
        """Look at a server; return why it cannot be used."""
        before = server.problem
        try:
            await server.look()
            context = server.abilities.context
            if context is not None and context < self._context:
                raise ServerUnfit(f"its context is {context}, shorter than {self._context}")
        except ServerFailed as exc:
            server.fail(exc)
            if server.problem != before:
                log.warning("%s: cannot be used: %s", server.url, server.problem)
            return exc
        return None

    async def _notice_loss_of_all(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            if any(server.usable for server in self.servers):
                last = loop.time()
            elif loop.time() - last >= self._timeout:
                problems = "; ".join(f"{s.url}: {s.problem}" for s in self.servers)
                raise NoServer(f"no server could be used for {self._timeout:g} s: {problems}")
            await asyncio.sleep(min(1.0, self._timeout / 4))
