"""Start a front-end process.

The listening socket is made here because two of its options disconnect clients that stopped
reading: with default settings such a client buffers megabytes and stays connected for ever.
"""

import gc
import logging
import os
import socket
import sys
from dataclasses import replace

import uvicorn
from starlette.applications import Starlette

from turnstream.turns import log_lines
from turnstream.turns.environment import SettingError
from turnstream.turns.redis_version import version_warning_of
from turnstream.ws_server.app import create_app
from turnstream.ws_server.connections.admission import Admission
from turnstream.ws_server.connections.limits import UNSENT_BYTES
from turnstream.ws_server.connections.server import Server, connections_allowed
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.socket import announce_drain

log = logging.getLogger(__name__)

#: A message this much larger than a request may be closes the socket with 1009; up to there it is
#: refused and the socket stays open.
TOO_LARGE_FACTOR = 2
#: Objects that are allocated between two collections of the youngest.
GARBAGE_THRESHOLD = 10_000
#: Exit code when a background task has died; the process is to be started again.
APP_DIED = 1


def run() -> int:
    """Serve until a signal; return the exit code."""
    try:
        settings = ServerSettings.read(os.environ)
        log_lines.configure(
            settings.turns.log, "%(asctime)s %(levelname)s %(message)s", node=settings.node
        )
        listening = listen(
            settings.host,
            settings.port,
            settings.connections.stalled_seconds,
            reuse_port=settings.reuse_port,
        )
    except (SettingError, OSError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201  for the terminal
        return 2
    if not settings.api_keys:
        logging.info("authentication is off: any key is accepted, from this machine only")
    if warning := version_warning_of(settings.turns.redis_url):
        logging.warning(warning)
    # Uvicorn logs each connection, and logs a refused handshake as an error.
    server_log = logging.getLogger("uvicorn.error")
    server_log.setLevel(logging.WARNING)
    server_log.addFilter(lambda record: "completing handshake" not in record.getMessage())
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=settings.body_bytes * TOO_LARGE_FACTOR,
        # A compressed message of a hostile client may expand to a thousand times its size.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=settings.keep_alive_seconds,
        # The access log would contain queries, which may hold ids.
        access_log=False,
        log_config=None,
        server_header=False,
        # `X-Forwarded-For` is read by `Admission`.
        proxy_headers=False,
    )
    # What exists by now lives as long as the process. And a connection allocates a hundred objects:
    # looked through after every 700, a storm of handshakes would take a third longer.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)
    allowed = connections_allowed(settings.connections.total)
    limits = replace(settings.connections, total=allowed)
    server = _Server(config, app, listening, Admission(limits, settings.trusted_proxies))
    try:
        server.run()
    except SystemExit:
        # The application failed to start, and its reason is logged. Uvicorn's code 3 would mean a
        # model that can't be loaded.
        return APP_DIED
    return APP_DIED if server.app_died else 0


class _Server(Server):
    """A server that sends `server.draining` on every socket before closing it with 1012.

    It ends when a background task of the application has died: without it, readers would wait.
    """

    def __init__(
        self, config: uvicorn.Config, app: Starlette, listening: socket.socket, admission: Admission
    ) -> None:
        super().__init__(config, listening, admission)
        self._app = app

    @property
    def app_died(self) -> bool:
        """Whether the application has ended by itself, with an error."""
        return bool(getattr(self.lifespan, "shutdown_failed", False))

    async def on_tick(self, counter: int) -> bool:
        if await super().on_tick(counter):
            return True
        if self.app_died:
            log.critical("a background task died; the process ends with code %d", APP_DIED)
        return self.app_died

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await announce_drain(self._app.state.node.sessions)
        for stream in list(self._app.state.node.feed_streams):
            stream.close()
        await super().shutdown(sockets)


def listen(
    host: str, port: int, stalled_seconds: float = 30.0, *, reuse_port: bool = False
) -> socket.socket:
    """Return the listening socket; accepted sockets inherit its options.

    Args:
        stalled_seconds: a client that acknowledges nothing for this long is disconnected.
        reuse_port: whether other processes may listen there as well.

    Raises:
        OSError: the address cannot be bound; the message names it.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Linux only; elsewhere only pings find a stalled client.
    stalled_ms = int(stalled_seconds * 1000)
    for option, value in (("TCP_USER_TIMEOUT", stalled_ms), ("TCP_NOTSENT_LOWAT", UNSENT_BYTES)):
        if hasattr(socket, option):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        listening.bind(address)
    except OSError as exc:
        listening.close()
        raise OSError(f"{host}:{port} can't be bound: {exc.strerror}") from exc
    return listening
