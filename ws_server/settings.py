"""What the front end is told from outside, read once at its start."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from socket import gethostname

from turnstream.turns import environment
from turnstream.turns.environment import SettingError
from turnstream.turns.settings import DAY, TurnSettings, blob_store

#: Beside the private Redis of `turnstream up`.
DEFAULT_FILES = "~/.local/share/turnstream/files"

_KEY = re.compile(r"([A-Za-z0-9_.-]{1,64}):([0-9a-fA-F]{64})")
_ORIGIN = re.compile(r"https?://[^/\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """What one socket may have."""

    #: How long it may last.
    seconds: int = 3600
    #: Turns in flight; further ones wait.
    turns: int = 16
    #: Named lanes.
    lanes: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of the `ws_server` room."""

    turns: TurnSettings
    host: str
    port: int
    #: Name of this process among all front ends; its events come on a channel of this name.
    node: str
    #: The model that a request without one gets, as the workers' setting names it.
    model: str
    #: Owner by SHA-256 of the key, in lower-case hex. Empty: any key, loopback only.
    api_keys: Mapping[str, str]
    #: Pages on other hosts that may connect, as `scheme://host[:port]`.
    origins: frozenset[str]
    #: Where uploaded files and the results of batches are: a folder, or the URL of a bucket.
    files: str
    file_bytes: int
    #: How long a file is kept, unless its owner says otherwise, and a batch after its end.
    file_seconds: int
    #: Requests that a file may have, and how many of one batch wait or run at a time.
    batch_lines: int
    batch_window: int
    socket: SocketLimits

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ServerSettings":
        """Read and check them all.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        whole = environment.whole
        port = whole(environ, "PORT", 8000, least=1, most=65535)
        settings = cls(
            turns=TurnSettings.read(environ),
            host=environment.text(environ, "HOST", "127.0.0.1"),
            port=port,
            node=environment.text(environ, "NODE", f"{gethostname()}:{port}"),
            model=environment.text(environ, "MODEL", "demo"),
            api_keys=_api_keys(environment.text(environ, "API_KEYS", "")),
            origins=_origins(environment.text(environ, "ORIGINS", "")),
            files=blob_store(environment.text(environ, "FILES", DEFAULT_FILES)),
            file_bytes=whole(environ, "FILE_BYTES", 2_000_000_000, least=1, most=2**40),
            file_seconds=whole(environ, "FILE_SECONDS", 30 * DAY, least=60, most=3650 * DAY),
            batch_lines=whole(environ, "BATCH_LINES", 1_000_000, least=1, most=1_000_000_000),
            batch_window=whole(environ, "BATCH_WINDOW", 256, least=1, most=10_000),
            socket=SocketLimits(
                seconds=whole(environ, "SOCKET_SECONDS", 3600, least=1, most=7 * DAY),
                turns=whole(environ, "SOCKET_TURNS", 16, least=1, most=10_000),
                lanes=whole(environ, "SOCKET_LANES", 32, least=1, most=10_000),
            ),
        )
        if not settings.api_keys and not settings.is_loopback:
            raise SettingError(
                "API_KEYS", f"must be set to serve on {settings.host}: without keys only loopback"
            )
        return settings


def _api_keys(text: str) -> dict[str, str]:
    keys = {}
    for entry in text.replace(",", " ").split():
        match = _KEY.fullmatch(entry)
        if match is None:
            # Not echoed: it may be the key itself.
            raise SettingError("API_KEYS", "must be a list of OWNER:SHA256-OF-KEY, in hex")
        keys[match[2].lower()] = match[1]
    return keys


def _origins(text: str) -> frozenset[str]:
    entries = text.replace(",", " ").split()
    for entry in entries:
        if not _ORIGIN.fullmatch(entry):
            raise SettingError("ORIGINS", f"must be a list of scheme://host[:port], not {entry!r}")
    return frozenset(entry.lower() for entry in entries)
