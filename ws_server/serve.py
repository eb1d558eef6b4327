"""Starts a front-end process.

The listening socket is made here, because two of its options are what gets rid of readers that
stopped reading: stock settings let one absorb megabytes, and keep it for ever.
"""

import logging
import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette

from turnstream.turns.environment import SettingError
from turnstream.ws_server.app import create_app
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.socket import say_goodbye

#: A message this large closes the socket with 1009; one above 256 KiB is refused and it stays open.
SOCKET_MESSAGE_BYTES = 4 * 1024 * 1024
#: A reader that takes nothing for so long is cut off; it can resume.
STALLED_MS = 30_000
#: Unsent bytes that the kernel holds for a slow reader, before waiting is felt here.
UNSENT_BYTES = 16 * 1024


def run() -> int:
    """Serve until told to stop; gives the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = ServerSettings.read(os.environ)
        listening = listen(settings.host, settings.port)
    except (SettingError, OSError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201  the reason is for whoever started this
        return 2
    if not settings.api_keys:
        logging.info("no API keys are set: any key is taken, from this machine only")
    # It tells of every socket that comes and goes, and takes a refused handshake for a mistake.
    server_log = logging.getLogger("uvicorn.error")
    server_log.setLevel(logging.WARNING)
    server_log.addFilter(lambda record: "completing handshake" not in record.getMessage())
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=SOCKET_MESSAGE_BYTES,
        # Compression would let a few bytes of a hostile client take a thousand times their memory.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        # Its access log would write down queries; what is worth logging is logged where it happens.
        access_log=False,
        log_config=None,
    )
    _Server(config, app).run(sockets=[listening])
    return 0


class _Server(uvicorn.Server):
    """Says good-bye on every socket before it closes them with 1012."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await say_goodbye(self._app.state.node.sessions)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Make the listening socket; accepted ones inherit its options.

    Raises:
        OSError: the address can't be bound; it says which.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Linux only; elsewhere a stalled reader is found by the pings alone.
    for option, value in (("TCP_USER_TIMEOUT", STALLED_MS), ("TCP_NOTSENT_LOWAT", UNSENT_BYTES)):
        if hasattr(socket, option):
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    try:
        listening.bind(address)
    except OSError as exc:
        listening.close()
        raise OSError(f"{host}:{port} can't be bound: {exc.strerror}") from exc
    return listening
