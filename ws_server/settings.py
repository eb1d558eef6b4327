"""Settings of the front end, read once at its start."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from socket import gethostname

from turnstream.turns.environment import (
    Setting,
    SettingError,
    choice,
    read_all,
    text,
    whole,
    yes_or_no,
)
from turnstream.turns.settings import DAY, METRICS_HOST, MODEL, TurnSettings, blob_store
from turnstream.ws_server.connections.limits import ConnectionLimits
from turnstream.ws_server.connections.proxies import Networks, networks
from turnstream.ws_server.origins import origins
from turnstream.ws_server.page import PageSettings
from turnstream.ws_server.prefix import is_prefix
from turnstream.ws_server.webhooks.addresses import Targets

_KEY = re.compile(r"([A-Za-z0-9_.-]{1,64}):([0-9a-fA-F]{64})")


def _api_keys(value: str) -> dict[str, str]:
    keys = {}
    for entry in value.replace(",", " ").split():
        match = _KEY.fullmatch(entry)
        if match is None:
            # The entry is not repeated in the error: it may be the key itself.
            raise ValueError("must be a list of OWNER:SHA256-OF-KEY, in hex")
        keys[match[2].lower()] = match[1]
    return keys


def _sha256(value: str) -> str:
    if re.fullmatch(r"[0-9a-fA-F]{64}", value) is None:
        # The value is not repeated in the error: it may be the key itself.
        raise ValueError("must be the SHA-256 of a key, in hex")
    return value.lower()


def _root_path(value: str) -> str:
    prefix = value.rstrip("/")
    if prefix and not is_prefix(prefix):
        raise ValueError(f"must be a path such as /llm, not {value!r}")
    return prefix


HOST = Setting(
    "HOST", text, "127.0.0.1", "address to listen on; another than loopback requires keys"
)
PORT = Setting(
    "PORT", whole(1, 65535), 8000, "port to listen on; `turnstream up` accepts 0 for any free one"
)
PROCESSES = Setting(
    "PROCESSES",
    whole(1, 256),
    1,
    "front-end processes on one port, each a node of its own with its own limits; `turnstream"
    " serve` and `up` start them again when they end. Linux only",
)
FILES = Setting(
    "FILES",
    blob_store,
    blob_store("~/.local/share/turnstream/files"),
    "where files and the results of batches are stored: a folder that all nodes share, or"
    " `s3://BUCKET/FOLDER`; with `turnstream up` inside its data directory",
    shown="`~/.local/share/turnstream/files`",
)

WEBHOOKS = Setting(
    "WEBHOOKS",
    choice("public", "any"),
    "public",
    "where webhooks may be sent: `public`, over HTTPS to public addresses, or `any`, over HTTP and"
    " to private networks too; see [webhooks.md](webhooks.md)",
)

#: The default of `MAX_BODY_BYTES`.
BODY_BYTES = 8 * 1024 * 1024
MAX_BODY_BYTES = Setting(
    "MAX_BODY_BYTES",
    whole(1024, 2**30),
    BODY_BYTES,
    "size of a request: the body over HTTP, decoded, a message on a WebSocket, a line of a batch's"
    " file; whether a prompt fits is for the model's context to say",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """Limits of one WebSocket, and of a request over HTTP."""

    body_bytes: int = MAX_BODY_BYTES.field()

    seconds: int = Setting(
        "SOCKET_SECONDS",
        whole(1, 7 * DAY),
        3600,
        "how long one WebSocket may last; then it is closed with 1001, and clients reconnect",
    ).field()
    turns: int = Setting(
        "SOCKET_TURNS",
        whole(1, 10_000),
        16,
        "turns in flight on one WebSocket; further ones wait on their lanes",
    ).field()
    bytes: int = Setting(
        "SOCKET_BYTES",
        whole(1024, 2**32),
        8 * 1024 * 1024,
        "memory of the requests on one WebSocket that are not answered yet; a single one is taken"
        " up to the size of a request",
    ).field()
    lanes: int = Setting(
        "SOCKET_LANES", whole(1, 10_000), 32, "named lanes on one WebSocket"
    ).field()
    feeds: int = Setting(
        "SOCKET_FEEDS", whole(1, 10_000), 16, "conversations that one WebSocket follows at a time"
    ).field()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of the `ws_server` room."""

    turns: TurnSettings
    socket: SocketLimits = field(default_factory=SocketLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    page: PageSettings = field(default_factory=PageSettings)
    host: str = HOST.field()
    port: int = PORT.field()
    processes: int = PROCESSES.field()
    reuse_port: bool = Setting(
        "REUSE_PORT",
        yes_or_no,
        False,
        "`yes`: other front ends of this user may listen on the same port, and the system spreads"
        " connections over them (SO_REUSEPORT)",
    ).field()
    #: Owner by SHA-256 of the key, in lower-case hex. Empty: authentication is off, loopback only.
    api_keys: Mapping[str, str] = Setting(
        "API_KEYS",
        _api_keys,
        {},
        "accepted keys: `OWNER:SHA256` of each, separated by commas or spaces",
        shown="none",
    ).field()
    require_key: bool = Setting(
        "REQUIRE_KEY",
        yes_or_no,
        False,
        "whether every request needs a key; with `TURNSTREAM_API_KEYS` it does anyway. Keys are"
        " also made at run time, see [keys.md](keys.md)",
        shown="`no`",
    ).field()
    #: Lower case.
    origins: frozenset[str] = Setting(
        "ORIGINS",
        origins,
        frozenset(),
        "pages of other origins that may connect and read, over HTTP and WebSockets:"
        " `https://HOST[:PORT]`, `tauri://localhost` and the like, `null`; separated by commas or"
        " spaces",
        shown="none",
    ).field()
    keep_alive_seconds: int = Setting(
        "KEEP_ALIVE_SECONDS",
        whole(1, DAY),
        75,
        "how long an idle HTTP connection is kept; longer than the proxy in front keeps its own",
    ).field()
    root_path: str = Setting(
        "ROOT_PATH",
        _root_path,
        "",
        "path of a proxy below which the service is, such as `/llm`; see [deploy.md](deploy.md)",
        shown="none",
    ).field()
    trusted_proxies: Networks = Setting(
        "TRUSTED_PROXIES",
        networks,
        networks("127.0.0.1 ::1"),
        "addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Prefix` are"
        " believed, separated by commas or spaces; `*` for all",
        shown="`127.0.0.1,::1`",
    ).field()
    #: Name of the channel on which this node's events arrive.
    node: str = Setting(
        "NODE",
        text,
        "",
        "name of this front end; each node needs its own",
        shown="host name and port",
    ).field()
    #: The model of requests that name none.
    model: str = MODEL.field()
    models: tuple[str, ...] = Setting(
        "MODELS",
        lambda value: tuple(value.replace(",", " ").split()),
        (),
        "names of further models whose turns are queued before they have had a worker, separated by"
        " commas or spaces: for workers that are started on demand",
        shown="none",
    ).field()
    files: str = FILES.field()
    file_bytes: int = Setting(
        "FILE_BYTES", whole(1, 2**40), 2_000_000_000, "largest upload, in bytes"
    ).field()
    upload_bytes: int = Setting(
        "UPLOAD_BYTES",
        whole(1, 2**50),
        8_000_000_000,
        "bytes of all uploads under way at one node, half of them for one owner; a single upload is"
        " taken up to `TURNSTREAM_FILE_BYTES`. They wait in the folder for temporary files",
    ).field()
    #: Unless the owner sets another time.
    file_seconds: int = Setting(
        "FILE_SECONDS",
        whole(60, 3650 * DAY),
        30 * DAY,
        "how long a file is kept, and a batch after its end",
    ).field()
    body_bytes: int = MAX_BODY_BYTES.field()
    batch_lines: int = Setting(
        "BATCH_LINES", whole(1, 1_000_000_000), 1_000_000, "requests that a batch file may have"
    ).field()
    batch_window: int = Setting(
        "BATCH_WINDOW",
        whole(1, 10_000),
        256,
        "requests of one batch that wait or run at a time",
    ).field()

    webhooks: Targets = WEBHOOKS.field()
    metrics_host: str = METRICS_HOST.field()
    metrics_port: int = Setting(
        "METRICS_PORT",
        whole(0, 65535),
        0,
        "port on which a node answers nothing but `/metrics`; 0: on its own port only",
    ).field()
    metrics_key: str = Setting(
        "METRICS_KEY",
        _sha256,
        "",
        "SHA-256 of the key, in hex, with which `/metrics` is read at a node's own port; not needed"
        " where there are no API keys",
        shown="none",
    ).field()

    @property
    def needs_key(self) -> bool:
        """Whether every request needs a key."""
        return self.require_key or bool(self.api_keys)

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
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        socket = SocketLimits(**read_all(SocketLimits, environ))
        connections = ConnectionLimits(**read_all(ConnectionLimits, environ))
        settings = cls(
            turns=TurnSettings.read(environ),
            socket=socket,
            connections=connections,
            page=PageSettings(**read_all(PageSettings, environ)),
            **read_all(cls, environ),
        )
        if not settings.needs_key and not settings.is_loopback:
            raise SettingError(
                "API_KEYS",
                f"must be set to serve on {settings.host}: without keys only loopback;"
                " or set TURNSTREAM_REQUIRE_KEY=yes and make them with `turnstream keys create`",
            )
        if not settings.node:
            return replace(settings, node=f"{gethostname()}:{settings.port}")
        return settings
