"""Limits of connections: settings, and bounds that nobody has a reason to change."""

from dataclasses import dataclass

from turnstream.turns.environment import Setting, seconds, whole

#: Bytes of a request's line and headers. Browsers and proxies stay below half of it.
HEAD_BYTES = 32 * 1024
#: Headers of a request, and as many trailers.
HEADERS = 128
#: Requests that may wait behind the one that is answered. No known client sends even one.
PIPELINED = 8
#: Bytes taken from a connection at a time: what one client sends at once delays others by this.
READ_BYTES = 16 * 1024
#: Bytes of chunk sizes and trailers that a body may have: these, and some for each of its own.
FRAMING_BYTES, FRAMING_RATIO = 16 * 1024, 8
#: Bytes of a body that are still read after its request was answered, and then dropped: most
#: clients read an answer, such as that the body is too large, only when they have sent it all.
UNWANTED_BYTES = 64 * 1024 * 1024
#: Fragments of one message: these, and one for so many bytes.
FRAGMENTS, FRAGMENT_BYTES = 1024, 256
#: Frames that are read from one WebSocket before others have a turn.
FRAMES_AT_A_TIME = 32
#: Unsent bytes of a WebSocket before a send waits: in this process, and as many in the kernel.
UNSENT_BYTES = 16 * 1024
#: Unsent bytes above which a ping is not answered: its sender does not read.
PONG_UNSENT_BYTES = 64 * 1024
#: How long a refused client may go on sending before its connection is cut.
LINGER_SECONDS = 1.0


NODE_BYTES = Setting(
    "NODE_BYTES",
    whole(1024, 2**40),
    512 * 1024 * 1024,
    "memory of all requests and uploads at one node that are not answered yet, on WebSockets too,"
    " half of it for one owner; and as much again for messages that are still arriving, half of it"
    " for one address",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of all connections to a node."""

    total: int = Setting(
        "CONNECTIONS",
        whole(1, 1_000_000),
        10_000,
        "connections to one node; fewer where the system allows fewer descriptors. Further ones"
        " are refused with 503",
    ).field()
    per_address: int = Setting(
        "ADDRESS_CONNECTIONS",
        whole(1, 1_000_000),
        2_000,
        "connections from one address (of IPv6 one /64 network); further ones are refused with"
        " 429. Behind a trusted proxy its `X-Forwarded-For` counts, and of HTTP only requests that"
        " are being answered",
    ).field()
    owner_sockets: int = Setting(
        "OWNER_SOCKETS",
        whole(1, 1_000_000),
        2_000,
        "WebSockets of one owner at one node; further ones are refused with 429",
    ).field()
    owner_feeds: int = Setting(
        "OWNER_FEEDS",
        whole(1, 1_000_000),
        4_000,
        "conversations that one owner follows at one node at a time, each reader counted; further"
        " ones are refused with 429",
    ).field()
    node_bytes: int = NODE_BYTES.field()
    head_seconds: float = Setting(
        "HEAD_SECONDS",
        seconds(0.1),
        10.0,
        "how long a client may take to send a request's headers, and a new connection to send any",
    ).field()
    body_seconds: float = Setting(
        "BODY_SECONDS",
        seconds(0.1),
        10.0,
        "a body, or a message on a WebSocket, that arrives more slowly than"
        " `TURNSTREAM_BODY_RATE` for this long ends its connection",
    ).field()
    body_rate: int = Setting(
        "BODY_RATE", whole(0, 1_000_000), 240, "bytes a second; 0 lets a client take its time"
    ).field()
    stalled_seconds: float = Setting(
        "STALLED_SECONDS",
        seconds(0.1),
        30.0,
        "a client that takes nothing of what is sent to it for this long is disconnected; it can"
        " resume",
    ).field()
    close_seconds: float = Setting(
        "CLOSE_SECONDS",
        seconds(0.1),
        3.0,
        "how long a client may take to answer a close frame, and to take what was sent before",
    ).field()
    wrong_keys: int = Setting(
        "WRONG_KEYS_PER_MINUTE",
        whole(0, 1_000_000),
        60,
        "unknown keys that one address may send; beyond, only keys that it has used before are"
        " looked at. 0 is no limit",
    ).field()
