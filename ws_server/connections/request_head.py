"""Check the head of a request for what its parser lets pass."""

import re

from turnstream.turns.errors import BadRequest

#: A name or an address, with or without a port; no user, path or space.
_HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")

Headers = list[tuple[bytes, bytes]]


def check_head(url: bytes, headers: Headers, *, version: str, handshake: bool) -> None:
    """Check that a request is clear about its host, and that a handshake has no body.

    Raises:
        BadRequest: it is not.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        raise BadRequest("A request must have one Host.", code="invalid_http")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest("The request's Host is not valid.", code="invalid_http")
    if not url.isascii():
        raise BadRequest("The request's path is not valid.", code="invalid_http")
    if handshake and _has_body(headers):
        raise BadRequest("A handshake can't have a body.", code="invalid_http")


def _has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )
