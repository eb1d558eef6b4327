"""Accept connections: as many as are allowed, and none while the system has no descriptor left.

asyncio's own accepting goes on in a loop of errors there. And it makes a transport of each
connection before anybody can refuse it.
"""

import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from turnstream.turns.errors import Overloaded
from turnstream.ws_server.connections.admission import Admission
from turnstream.ws_server.connections.bounded_reads import BoundedReads, read_buffer
from turnstream.ws_server.connections.counts import Permits
from turnstream.ws_server.connections.limits import LINGER_SECONDS
from turnstream.ws_server.connections.refusal import refusal
from turnstream.ws_server.request_errors import TooManyConnections

log = logging.getLogger(__name__)

BACKLOG = 2048
#: Connections that are accepted before others have a turn.
AT_A_TIME = 64
#: How long none is accepted when there is no descriptor, or no memory, for one.
PAUSE_SECONDS = 1.0
#: A line a minute says so, as long as it lasts.
LOG_AGAIN_SECONDS = 60.0
#: Refused connections that are kept until their clients have read why.
LINGERING = 64
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Make = Callable[[Permits], asyncio.Protocol]


class Acceptor:
    """Accept connections of a listening socket.

    Args:
        make: makes the protocol of a connection, which releases what it holds.
    """

    def __init__(self, listening: socket.socket, admission: Admission, make: Make) -> None:
        self._listening = listening
        self._admission = admission
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._buffer = read_buffer()
        self._tasks: set[asyncio.Task[object]] = set()
        self._refused: deque[socket.socket] = deque()
        self._pause: asyncio.TimerHandle | None = None
        self._logged = float("-inf")

    def start(self) -> None:
        """Listen."""
        self._listening.setblocking(False)
        self._listening.listen(BACKLOG)
        self._loop.add_reader(self._listening, self._accept)

    def stop(self) -> None:
        """Accept no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        while self._refused:
            self._refused.popleft().close()

    def _accept(self) -> None:
        for _ in range(AT_A_TIME):
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in _EXHAUSTED:
                    raise
                self._wait(exc)
                return
            connection.setblocking(False)
            self._take(connection, str(address[0]))

    def _take(self, connection: socket.socket, peer: str) -> None:
        try:
            permits = self._admission.connect(peer)
        except (Overloaded, TooManyConnections) as exc:
            self._refuse(connection, refusal(exc))
            return
        task = self._loop.create_task(self._connect(connection, permits))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket, permits: Permits) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: BoundedReads(self._make(permits), self._buffer), connection
            )
        except OSError:
            # It has gone already.
            permits.release()
            connection.close()

    def _refuse(self, connection: socket.socket, answer: bytes) -> None:
        """Say why, without waiting for a request, and close soon."""
        with suppress(OSError):
            connection.send(answer)
            connection.shutdown(socket.SHUT_WR)
        # Closed at once, it would be reset by the request that is on its way, answer and all.
        self._refused.append(connection)
        if len(self._refused) > LINGERING:
            self._refused.popleft().close()
        else:
            self._loop.call_later(LINGER_SECONDS, self._close_refused, connection)

    def _close_refused(self, connection: socket.socket) -> None:
        with suppress(ValueError):
            self._refused.remove(connection)
            connection.close()

    def _wait(self, exc: OSError) -> None:
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._go_on)
        if self._loop.time() - self._logged > LOG_AGAIN_SECONDS:
            self._logged = self._loop.time()
            log.error("no connection can be accepted: %s; trying again each second", exc.strerror)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)
