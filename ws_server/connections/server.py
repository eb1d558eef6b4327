"""The server: uvicorn's, with connections of ours."""

import asyncio
import logging
import resource
import socket

import uvicorn

from turnstream.ws_server.connections.acceptor import Acceptor
from turnstream.ws_server.connections.admission import Admission
from turnstream.ws_server.connections.counts import Permits
from turnstream.ws_server.connections.http import HttpConnection

log = logging.getLogger(__name__)

#: Descriptors that are not for connections: Redis, files, uploads. A quarter where there are few.
RESERVED_DESCRIPTORS = 512


class Server(uvicorn.Server):
    """Serve one listening socket."""

    def __init__(
        self, config: uvicorn.Config, listening: socket.socket, admission: Admission
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._admission = admission

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._acceptor = Acceptor(self._listening, self._admission, self._connection)
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._acceptor.stop()
        self._listening.close()
        await super().shutdown(sockets=[])

    def _connection(self, permits: Permits) -> asyncio.Protocol:
        return HttpConnection(
            self.config,
            self.server_state,
            self.lifespan.state,
            admission=self._admission,
            permits=permits,
        )


def connections_allowed(most: int) -> int:
    """Raise the limit of descriptors; return how many connections fit, at most `most`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError) as exc:
            log.warning("the limit of %s descriptors can't be raised: %s", soft, exc)
    if soft == resource.RLIM_INFINITY:
        return most
    fitting = soft - min(RESERVED_DESCRIPTORS, soft // 4)
    if fitting < most:
        log.warning(
            "%s connections are accepted, not %s: the system allows %s descriptors",
            fitting,
            most,
            soft,
        )
    return min(fitting, most)
