"""The key of an open socket: it may end, or be replaced, while the socket is in use.

Over HTTP every request brings its key. A socket brought its own when it was opened, so the node
asks every second which of the keys in use have ended. A client token that expires leaves its
client half a minute to send another one; a key that was revoked closes the socket at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Protocol

from starlette.websockets import WebSocketDisconnect

from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import encode
from turnstream.ws_server.known_keys import KnownKeys
from turnstream.ws_server.request_errors import Forbidden, KeyEnded
from turnstream.ws_server.token_bodies import TokenExpired, TokenRefreshed
from turnstream.ws_server.visitor import Visitor

#: How often a node asks which keys have ended.
LOOK_SECONDS = 0.5
#: How long a socket goes on after its client token has expired.
GRACE_SECONDS = 30.0
#: How long one socket may take to be told.
TELL_SECONDS = 1.0
#: Policy violation: clients do not reconnect by themselves with the same key.
CLOSE_CODE = 1008


class SocketKey:
    """Whose socket it is, and until when."""

    def __init__(
        self,
        visitor: Visitor,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int, str], Awaitable[None]],
    ) -> None:
        self._visitor = visitor
        self._send = send
        self._close = close
        #: When its client token expired, on the monotonic clock; None: it has not.
        self._expired_at: float | None = None

    @property
    def owner(self) -> str:
        return self._visitor.owner

    @property
    def digest(self) -> str | None:
        """The digest of a key that may end; None: it is one of the settings."""
        return self._visitor.digest if self._visitor.key is not None else None

    def current(self) -> Visitor:
        """Return the client, for a new request.

        Raises:
            KeyEnded: its client token has expired.
        """
        key = self._visitor.key
        if self._expired_at is not None or (
            key is not None and key.expires_at is not None and key.expires_at <= time.time()
        ):
            raise KeyEnded("The client token of this socket has expired: send another one.")
        return self._visitor

    async def refresh(self, visitor: Visitor) -> None:
        """Go on with another key of the same owner, and tell the client until when.

        Raises:
            Forbidden: it is another owner's.
            WebSocketDisconnect: the client has disconnected.
        """
        if visitor.owner != self.owner:
            raise Forbidden("The token is another owner's: open another socket for it.")
        self._visitor, self._expired_at = visitor, None
        expires_at = visitor.key.expires_at if visitor.key is not None else None
        await self._send(encode(TokenRefreshed(expires_at=expires_at)))

    async def end(self) -> None:
        """Note that the key has ended: tell the client, or close the socket; never wait long."""
        key, now = self._visitor.key, time.monotonic()
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(TELL_SECONDS):
                if key is None or key.expires_at is None or key.expires_at > time.time():
                    await self._close(CLOSE_CODE, "the key was revoked")
                elif self._expired_at is None:
                    self._expired_at = now
                    await self._send(encode(TokenExpired(closes_in_ms=int(GRACE_SECONDS * 1000))))
                elif now - self._expired_at >= GRACE_SECONDS:
                    await self._close(CLOSE_CODE, "the client token has expired")


class KeyedSocket(Protocol):
    """An open socket."""

    key: SocketKey


async def watch_keys(known: KnownKeys, sockets: Callable[[], Iterable[KeyedSocket]]) -> None:
    """End the keys of open sockets when they expire or are revoked, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        keyed = [(each.key.digest, each.key) for each in sockets()]
        digests = {digest for digest, _ in keyed if digest is not None}
        if not digests:
            continue
        try:
            gone = await known.gone(digests)
        except TurnError:
            # Redis is away, or a newer release wrote one of them.
            continue
        async with asyncio.TaskGroup() as tasks:
            for digest, key in keyed:
                # Another key may have come meanwhile.
                if digest in gone and key.digest == digest:
                    tasks.create_task(key.end())
