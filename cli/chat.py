"""`turnstream chat`: a conversation in the terminal, over the WebSocket of the service.

Ctrl-C cancels the response, not the conversation. Its handler only sets a flag, because an
exception in the middle of a read would lose part of a frame: the socket is read with a short
timeout, and the cancel is sent between two reads.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from turnstream.turns.environment import Setting, read_all, text

#: Timeout of a read, and so the longest delay until Ctrl-C takes effect.
READ_SECONDS = 0.1
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def _server_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.netloc:
        raise ValueError(f"must be an http:// address, not {value!r}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """The server that `turnstream chat` and `turnstream bulk` use."""

    url: str = Setting(
        "URL",
        _server_url,
        "http://127.0.0.1:8000",
        "the server that `turnstream chat` and `turnstream bulk` use",
    ).field()
    key: str = Setting("KEY", text, "", "its API key", shown="none").field()
    #: Empty: the server's default.
    model: str = Setting(
        "CHAT_MODEL", text, "", "the model that they ask for", shown="the server's"
    ).field()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ChatSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        return cls(**read_all(cls, environ))

    @property
    def http_url(self) -> str:
        parts = urlsplit(self.url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/").removesuffix("/v1")
        return urlunsplit((scheme, parts.netloc, path, "", ""))

    @property
    def socket_url(self) -> str:
        parts = urlsplit(self.url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/").removesuffix("/v1") + "/v1/responses"
        return urlunsplit((scheme, parts.netloc, path, "", ""))


def run() -> int:
    """Run the conversation until Ctrl-D; return the exit code."""
    settings = ChatSettings.read(os.environ)
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives `input` its editing keys)
    try:
        Chat(settings).talk()
    except ConnectionError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


class Chat:
    """A conversation; its socket is reopened after the connection was lost."""

    def __init__(self, settings: ChatSettings) -> None:
        self.settings = settings
        self.previous: str | None = None

    def talk(self) -> None:
        """Read lines and print answers until the end of the input.

        Raises:
            ConnectionError: the server cannot be reached, or refuses the connection.
        """
        socket = self.open()
        try:
            for line in lines():
                try:
                    self.ask(socket, line)
                except ConnectionClosed:
                    print("\n[the connection was lost; please ask again]", file=sys.stderr)
                    socket = self.open()
        finally:
            socket.close()

    def open(self) -> ClientConnection:
        """Open a socket.

        Raises:
            ConnectionError: the server cannot be reached, or refuses the connection.
        """
        settings = self.settings
        headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        try:
            return connect(
                settings.socket_url,
                additional_headers=headers,
                compression=None,
                max_size=None,
                proxy=None,
            )
        except OSError as exc:
            reason = exc.strerror or "timed out"
            raise ConnectionError(
                f"turnstream chat: cannot connect to {settings.url}: {reason}"
            ) from exc
        except (InvalidHandshake, InvalidURI) as exc:
            raise ConnectionError(f"turnstream chat: {settings.url}: {exc}") from exc

    def ask(self, socket: ClientConnection, text: str) -> None:
        """Submit one turn and print its slices as they arrive."""
        create: dict[str, Any] = {"type": "response.create", "input": text}
        if self.settings.model:
            create["model"] = self.settings.model
        if self.previous:
            create["previous_response_id"] = self.previous
        socket.send(json.dumps(create))
        with stop_on_interrupt() as stop:
            for event in events(socket, stop):
                if not self.show(event):
                    return

    def show(self, event: dict[str, Any]) -> bool:
        """Print an event; return False if it is the last of its turn."""
        match event:
            case {"type": "response.output_text.delta", "delta": str(delta)}:
                print(delta, end="", flush=True)
            case {"type": "error", "error": {"message": message}}:
                print(f"[{message}]", file=sys.stderr)
                return False
            case {"type": kind, "response": {"id": str(id), **response}} if kind in TERMINAL:
                print()
                self.end(id, response)
                return False
        return True

    def end(self, id: str, response: Mapping[Any, Any]) -> None:
        """Print why a response ended early; continue from it unless it failed."""
        match response:
            case {"error": {"message": message}}:
                print(f"[{message}]", file=sys.stderr)
                return
            case {"status": "cancelled"}:
                print("[cancelled]", file=sys.stderr)
            case {"incomplete_details": {"reason": reason}}:
                print(f"[incomplete: {reason}]", file=sys.stderr)
        self.previous = id


def lines() -> Iterator[str]:
    """Read lines from the terminal; Ctrl-C discards a line, Ctrl-D ends the input."""
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt).strip()
        except KeyboardInterrupt:
            print()
            continue
        except EOFError:
            return
        if line:
            yield line


def events(socket: ClientConnection, stop: threading.Event) -> Iterator[dict[str, Any]]:
    """Read events; once `stop` is set, send a cancel and go on reading."""
    asked = False
    while True:
        if stop.is_set() and not asked:
            socket.send(json.dumps({"type": "response.cancel"}))
            asked = True
        with contextlib.suppress(TimeoutError):
            yield json.loads(socket.recv(timeout=READ_SECONDS))


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Make Ctrl-C set a flag instead of raising, until the block ends."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
