"""Let pages of listed origins use the service over HTTP; Starlette writes the headers.

The list is that of `access.py`, which refuses a foreign page's request itself. A preflight has no
key and reaches no route, so it is answered here.
"""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from turnstream.ws_server.access import foreign_origin
from turnstream.ws_server.rate_headers import RATE_HEADERS
from turnstream.ws_server.wire import error_response

_METHODS = ("GET", "HEAD", "POST", "DELETE")
#: What a page may read beside the headers that every page may.
_EXPOSED = (
    "x-request-id",
    "x-should-retry",
    "retry-after",
    "openai-processing-ms",
    *RATE_HEADERS,
)


class Cors(CORSMiddleware):
    """Middleware that answers preflights and adds `access-control-*` and `vary`."""

    def __init__(self, app: ASGIApp, *, origins: frozenset[str]) -> None:
        # A listed page may send any header, since official clients have many of their own.
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )

    def is_allowed_origin(self, origin: str) -> bool:
        return origin.lower() in self.allow_origins

    def preflight_response(self, request_headers: Headers) -> Response:
        if self.is_allowed_origin(request_headers["origin"]):
            return super().preflight_response(request_headers)
        refused = error_response(foreign_origin())
        refused.headers["vary"] = self.preflight_headers["Vary"]
        return refused
