"""Find a request's route below the path of a proxy, with or without a slash at its end.

A proxy may serve this service below a path, such as `/llm`, and strip that path or not. The path is
a setting, or comes in `X-Forwarded-Prefix` from a proxy that is trusted. The page uses relative
URLs only, so it works at any path that ends with a slash.
"""

import re
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from turnstream.ws_server.connections.proxies import Networks

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){1,10}")


def is_prefix(text: str) -> bool:
    """Return whether a text is a path, without a slash at its end."""
    return _PREFIX.fullmatch(text) is not None


class Prefix:
    """Middleware that takes prefix and final slash off a path, for the routes behind it."""

    def __init__(self, app: ASGIApp, *, root_path: str, trusted: Networks) -> None:
        self._app = app
        self._root_path = root_path
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        prefix, path = self._prefix(scope), scope["path"]
        if prefix and scope["type"] == "http" and path == prefix:
            # The page's relative URLs need the slash. No host: the proxy's is not known here.
            await RedirectResponse(prefix + "/")(scope, receive, send)
            return
        if path.startswith(prefix + "/"):
            path = path.removeprefix(prefix)
        scope["root_path"] = prefix
        # As ASGI has it, the path includes the root path.
        scope["path"] = prefix + (path.rstrip("/") or "/")
        await self._app(scope, receive, send)

    def _prefix(self, scope: Scope) -> str:
        forwarded = Headers(scope=scope).get("x-forwarded-prefix", "").strip().rstrip("/")
        if forwarded and is_prefix(forwarded) and self._trusts(scope):
            return forwarded
        return self._root_path

    def _trusts(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ip_address(client[0] if client else "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._trusted)
