"""Who may come in, and as whom: looked at once, before anything is accepted.

A browser sends the cookies and the address of whoever it visits, so a page on another host is kept
out by its Origin, and, where any key will do, a name that only points to this machine is kept out
by its Host.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from turnstream.turns.errors import Forbidden, Unauthorized
from turnstream.ws_server.settings import ServerSettings

#: How a browser, which can't set a header, hands over its key.
KEY_PROTOCOL = "openai-insecure-api-key."
#: The subprotocols that are no secret, in the order in which they are chosen.
PUBLIC_PROTOCOLS = ("responses", "realtime")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who may come in."""

    owner: str
    #: The subprotocol to agree on; never the one that carries the key.
    subprotocol: str | None


class Access:
    """Checks keys and origins."""

    def __init__(self, settings: ServerSettings) -> None:
        self._owners: Mapping[str, str] = settings.api_keys
        self._origins = settings.origins

    def admit(self, connection: HTTPConnection) -> Visitor:
        """Say who comes.

        Raises:
            Forbidden: a page of another host asks.
            Unauthorized: there is no key, or nobody has this one.
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
        host = connection.headers.get("host", "")
        if not self._owners and urlsplit(f"//{host}").hostname not in _LOOPBACK:
            raise Forbidden("Without API keys only requests to this machine's own name are taken.")
        origin = connection.headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        if urlsplit(origin).netloc.lower() != host.lower():
            raise Forbidden("Pages of this origin may not connect.")


def _offered(connection: HTTPConnection) -> list[str]:
    header = connection.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in header.split(",")]


def _key(connection: HTTPConnection, offered: list[str]) -> str | None:
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    carried = (name for name in offered if name.startswith(KEY_PROTOCOL))
    return next((name.removeprefix(KEY_PROTOCOL) for name in carried), None) or None
