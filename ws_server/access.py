"""Authenticate requests and handshakes, before anything is accepted.

A page on another host can make a browser connect here, so its Origin is checked. Without API keys
the Host is checked too: a foreign DNS name may point to this machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from turnstream.turns.errors import Forbidden, Unauthorized
from turnstream.ws_server.settings import ServerSettings

#: Prefix of the subprotocol in which a browser sends its key, since it cannot set a header.
KEY_PROTOCOL = "openai-insecure-api-key."
#: Subprotocols without a key, in order of preference.
PUBLIC_PROTOCOLS = ("responses", "realtime")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """An authenticated client."""

    owner: str
    #: The subprotocol to accept; never the one that carries the key.
    subprotocol: str | None


class Access:
    """Check keys and origins."""

    def __init__(self, settings: ServerSettings) -> None:
        self._owners: Mapping[str, str] = settings.api_keys
        self._origins = settings.origins

    def admit(self, connection: HTTPConnection) -> Visitor:
        """Return the client.

        Raises:
            Forbidden: the request comes from a page of another host.
            Unauthorized: the key is missing or unknown.
        """
        self._check_origin(connection)
        offered = _offered(connection)
        subprotocol = next((name for name in PUBLIC_PROTOCOLS if name in offered), None)
        if not self._owners:
            return Visitor("local", subprotocol)
        key = _key(connection, offered)
        if key is None:
            raise Unauthorized("No API key was given: send `Authorization: Bearer KEY`.")
        owner = self._owners.get(hashlib.sha256(key.encode()).hexdigest())
        if owner is None:
            raise Unauthorized("The API key is not known here.")
        return Visitor(owner, subprotocol)

    def _check_origin(self, connection: HTTPConnection) -> None:
        # Browsers always send a Host; only clients of HTTP/1.0 may not.
        host = connection.headers.get("host")
        if not self._owners and host is not None and _name_in(host) not in _LOOPBACK:
            raise Forbidden("Without API keys only requests to localhost are accepted.")
        origin = connection.headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        if not host or urlsplit(origin).netloc.lower() != host.lower():
            raise foreign_origin()


def foreign_origin() -> Forbidden:
    """Return the error for a page of another origin that is not listed."""
    return Forbidden("Pages of this origin may not connect: TURNSTREAM_ORIGINS does not list it.")


def _name_in(host: str) -> str | None:
    return urlsplit(f"//{host}").hostname


def _offered(connection: HTTPConnection) -> list[str]:
    header = connection.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in header.split(",")]


def _key(connection: HTTPConnection, offered: list[str]) -> str | None:
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    carried = (name for name in offered if name.startswith(KEY_PROTOCOL))
    return next((name.removeprefix(KEY_PROTOCOL) for name in carried), None) or None
