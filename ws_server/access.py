"""Authenticate requests and handshakes, before anything is accepted.

A page on another host can make a browser connect here, so its Origin is checked. Without API keys
the Host is checked too: a foreign DNS name may point to this machine.
"""

import asyncio
import hashlib
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from turnstream.turns.api_key import ApiKey
from turnstream.turns.api_keys import TOKEN_PREFIX
from turnstream.ws_server.connections.admission import ADDRESS
from turnstream.ws_server.key_brake import KeyBrake
from turnstream.ws_server.known_keys import KnownKeys, StoredKeys
from turnstream.ws_server.request_errors import Forbidden, Unauthorized
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.visitor import Visitor

#: Prefix of the subprotocol in which a browser sends its key, since it cannot set a header.
KEY_PROTOCOL = "openai-insecure-api-key."
#: The owner of all turns where no keys are needed.
LOCAL = "local"
#: Subprotocols without a key, in order of preference.
PUBLIC_PROTOCOLS = ("responses", "realtime")

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Check keys and origins."""

    def __init__(self, settings: ServerSettings, stored: StoredKeys) -> None:
        #: What keys stand for.
        self.known = KnownKeys(settings.api_keys, stored)
        self._needs_key = settings.needs_key
        self._origins = settings.origins
        self._metrics_key = settings.metrics_key
        self._looking = asyncio.Lock()
        self._brake = KeyBrake(settings.connections.wrong_keys)

    async def admit(self, connection: HTTPConnection) -> Visitor:
        """Return the client.

        Raises:
            Overloaded: the key may be one that was made at run time, and Redis is away.
            Forbidden: the request comes from a page of another host.
            Unauthorized: the key is missing or unknown.
            TooManyWrongKeys: its address has sent many unknown ones.
        """
        self._check_origin(connection)
        offered = _offered(connection)
        subprotocol = next((name for name in PUBLIC_PROTOCOLS if name in offered), None)
        key = _key(connection, offered)
        address = connection.scope.get(ADDRESS, "")
        if not self._needs_key:
            # A client token is honoured, so that what it is bound to holds here too.
            is_token = key is not None and key.startswith(TOKEN_PREFIX)
            visitor = (
                await self.identify(key, address) if key and is_token else Visitor(owner=LOCAL)
            )
        elif key is None:
            raise Unauthorized("No API key was given: send `Authorization: Bearer KEY`.")
        else:
            visitor = await self.identify(key, address)
        return replace(visitor, subprotocol=subprotocol)

    def check_metrics(self, connection: HTTPConnection) -> None:
        """Check that the client may read the metrics.

        Raises:
            Forbidden: the request comes from a page of another host.
            Unauthorized: there are API keys, and the key is not the one for the metrics.
            TooManyWrongKeys: its address has sent many unknown ones.
        """
        self._check_origin(connection)
        if not self._needs_key:
            return
        if not self._metrics_key:
            raise Unauthorized(
                "The metrics are not served here: TURNSTREAM_METRICS_KEY is not set."
            )
        key = _key(connection, []) or ""
        address = connection.scope.get(ADDRESS, "")
        for digest in _digests(key):
            self._brake.check(address, digest)
            if digest == self._metrics_key:
                self._brake.known(address, digest)
                return
        self._brake.unknown(address)
        raise Unauthorized("The metrics need a key of their own: `Authorization: Bearer KEY`.")

    async def identify(self, key: str, address: str) -> Visitor:
        """Return whose key it is.

        Raises:
            Unauthorized: nobody's.
            TooManyWrongKeys: the address has sent many unknown ones.
            Overloaded: it may be one that was made at run time, and Redis is away.
        """
        for digest in _digests(key):
            self._brake.check(address, digest)
            if (owner := self.known.owner_of(digest)) is not None:
                visitor = Visitor(owner=owner, digest=digest)
            elif (found := await self._look(digest, address)) is not None:
                visitor = Visitor(owner=found.owner, digest=digest, key=found)
            else:
                continue
            self._brake.known(address, digest)
            return visitor
        self._brake.unknown(address)
        raise Unauthorized("The API key is not known here.")

    async def _look(self, digest: str, address: str) -> ApiKey | None:
        if self.known.is_known(digest):
            return await self.known.find(digest)
        # One at a time, so that each guess of a burst is counted before the next is looked up.
        async with self._looking:
            self._brake.check(address, digest)
            return await self.known.find(digest)

    def _check_origin(self, connection: HTTPConnection) -> None:
        # Browsers always send a Host; only clients of HTTP/1.0 may not.
        host = connection.headers.get("host")
        if not self._needs_key and host is not None and _host_name(host) not in _LOOPBACK:
            raise Forbidden("Without API keys only requests to localhost are accepted.")
        origin = connection.headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        if not host or _origin_host(origin) != host.lower():
            raise foreign_origin()


def foreign_origin() -> Forbidden:
    """Return the error for a page of another origin that is not listed."""
    return Forbidden("Pages of this origin may not connect: TURNSTREAM_ORIGINS does not list it.")


def _host_name(host: str) -> str | None:
    # With a user in it, the part behind `@` is not what a browser or a proxy took for the host.
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _origin_host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _digests(key: str) -> list[str]:
    """Return the digests that a key may be known by; two if it has characters beyond ASCII."""
    # A header is bytes, read as Latin-1. Some clients write such a key in UTF-8, some in Latin-1.
    written = [key.encode("latin-1", "replace"), key.encode()]
    return [hashlib.sha256(each).hexdigest() for each in dict.fromkeys(written)]


def _offered(connection: HTTPConnection) -> list[str]:
    header = connection.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in header.split(",")]


def _key(connection: HTTPConnection, offered: list[str]) -> str | None:
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    carried = (name for name in offered if name.startswith(KEY_PROTOCOL))
    return next((name.removeprefix(KEY_PROTOCOL) for name in carried), None) or None
