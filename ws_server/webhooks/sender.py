"""Makes one attempt at a delivery: sign it, connect to an address that was checked, POST it.

The name is resolved here and the connection goes to the very address that was checked, so that a
name that leads elsewhere the next time (DNS rebinding) gains nothing. No redirect is followed, no
proxy of the environment is used, no connection is used twice, and no body of an answer is kept.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Self

import httpcore2
from standardwebhooks.webhooks import Webhook

from turnstream.ws_server.webhooks.addresses import Targets, check_url, is_public

#: Longest time of an attempt, from looking up the name to the answer's status.
ATTEMPT_SECONDS = 15.0
#: Connections of a node at a time.
MOST_CONNECTIONS = 256


class NotSent(Exception):
    """An attempt got no answer; the message says why, in words for the endpoint's owner."""


class Sender:
    """Sends to endpoints. Used as an async context manager."""

    def __init__(self, targets: Targets) -> None:
        self._targets: Targets = targets
        # A look-up can't be interrupted, so each may have a thread, and none of the node's others.
        self._resolvers = ThreadPoolExecutor(MOST_CONNECTIONS, thread_name_prefix="webhook-names")
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=0,
            network_backend=_CheckedNetwork(targets, self._resolvers),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, event: str, body: bytes, secrets: Iterable[str]) -> int:
        """Send an event, signed with each of the secrets; return the status of the answer.

        Raises:
            NotSent: the URL may not be used, or no answer came in time.
        """
        now = datetime.now(UTC)
        signatures = (Webhook(secret).sign(event, now, body.decode()) for secret in secrets)
        headers = {
            "content-type": "application/json",
            "user-agent": "turnstream",
            "webhook-id": event,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        try:
            check_url(url, self._targets)
            async with asyncio.timeout(ATTEMPT_SECONDS):
                return await self._post(url, headers, body)
        except ValueError as exc:
            raise NotSent(f"its URL may not be used here: it must be {exc}") from exc
        except TimeoutError as exc:
            raise NotSent(f"it did not answer within {ATTEMPT_SECONDS:.0f} seconds") from exc

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        try:
            # The body of the answer is not read: leaving the block closes the connection.
            async with self._pool.stream(
                "POST", url, headers=list(headers.items()), content=body
            ) as answer:
                return answer.status
        except httpcore2.ConnectError as exc:
            raise NotSent(f"no connection: {_reason(exc)}") from exc
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            OSError,
        ) as exc:
            raise NotSent(f"no answer: {_reason(exc)}") from exc


class _CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to a host only if all addresses of its name may be used, and to one of these."""

    def __init__(self, targets: Targets, resolvers: ThreadPoolExecutor) -> None:
        self._targets = targets
        self._resolvers = resolvers
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        public = self._targets == "public"
        if not addresses or (public and not all(map(is_public, addresses))):
            # One text for both: which names a private network knows is not told.
            also = ", or has an address that is not public" if public else ""
            raise httpcore2.ConnectError(f"{host} is not known{also}")
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, ATTEMPT_SECONDS / 3)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, timeout)

    async def _addresses(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError):
            return []
        return list(dict.fromkeys(str(each[4][0]) for each in found))


def _reason(exc: Exception) -> str:
    return str(exc)[:200] or type(exc).__name__
