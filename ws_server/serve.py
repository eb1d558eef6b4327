"""Start a front-end process.

The listening socket is made here because two of its options disconnect clients that stopped
reading: with default settings such a client buffers megabytes and stays connected for ever.
"""

import logging
import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette

from turnstream.turns.environment import SettingError
from turnstream.ws_server.app import create_app
from turnstream.ws_server.http_protocol import HttpProtocol
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.socket import announce_drain

log = logging.getLogger(__name__)

#: A message this much larger than a request may be closes the socket with 1009; up to there it is
#: refused and the socket stays open.
TOO_LARGE_FACTOR = 2
#: A client that acknowledges nothing for this long is disconnected; it can resume.
STALLED_MS = 30_000
#: Exit code when a background task has died; the process is to be started again.
APP_DIED = 1
#: Unsent bytes that the kernel buffers for a slow client before a send here waits.
UNSENT_BYTES = 16 * 1024


def run() -> int:
    """Serve until a signal; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = ServerSettings.read(os.environ)
        listening = listen(settings.host, settings.port)
    except (SettingError, OSError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201  for the terminal
        return 2
    if not settings.api_keys:
        logging.info("authentication is off: any key is accepted, from this machine only")
    # Uvicorn logs each connection, and logs a refused handshake as an error.
    server_log = logging.getLogger("uvicorn.error")
    server_log.setLevel(logging.WARNING)
    server_log.addFilter(lambda record: "completing handshake" not in record.getMessage())
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="websockets-sansio",
        ws_max_size=settings.body_bytes * TOO_LARGE_FACTOR,
        # A compressed message of a hostile client may expand to a thousand times its size.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=settings.keep_alive_seconds,
        # Nothing here depends on the address or the scheme that a proxy reports.
        proxy_headers=False,
        # The access log would contain queries, which may hold ids.
        access_log=False,
        log_config=None,
    )
    server = _Server(config, app)
    try:
        server.run(sockets=[listening])
    except SystemExit:
        # The application failed to start, and its reason is logged. Uvicorn's code 3 would mean a
        # model that can't be loaded.
        return APP_DIED
    return APP_DIED if server.app_died else 0


class _Server(uvicorn.Server):
    """A server that sends `server.draining` on every socket before closing it with 1012.

    It ends when a background task of the application has died: without it, readers would wait.
    """

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
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
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Return the listening socket; accepted sockets inherit its options.

    Raises:
        OSError: the address cannot be bound; the message names it.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Linux only; elsewhere only pings find a stalled client.
    for option, value in (("TCP_USER_TIMEOUT", STALLED_MS), ("TCP_NOTSENT_LOWAT", UNSENT_BYTES)):
        if hasattr(socket, option):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        listening.bind(address)
    except OSError as exc:
        listening.close()
        raise OSError(f"{host}:{port} can't be bound: {exc.strerror}") from exc
    return listening
