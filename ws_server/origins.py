"""Read the list of origins whose pages may use this server.

An origin is what a browser sends in its `Origin` header: scheme, host and port, without a path. An
entry that no browser would ever send is refused at start, since it would silently allow nobody.
"""

import re
from urllib.parse import urlsplit

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_WEB_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
#: Hosts of apps and extensions; the part of an origin after its scheme.
_APP_HOST = re.compile(r"[^\s/?#@*\\]+")
#: Ports that browsers leave out.
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origins(value: str) -> frozenset[str]:
    """Read a list of origins, separated by commas or spaces; return them in lower case.

    Raises:
        ValueError: an entry is not an origin; the text says which, and why.
    """
    return frozenset(_origin(entry) for entry in value.replace(",", " ").split())


def _origin(entry: str) -> str:
    origin = entry.lower()
    if origin == "null":
        return origin
    scheme, separator, rest = origin.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise _bad(entry, "an origin is scheme://host[:port]")
    if "*" in rest:
        raise _bad(entry, "there are no wildcards, list each origin")
    if scheme in ("ws", "wss"):
        raise _bad(entry, "the origin of a page's socket is the page's own, http:// or https://")
    if scheme == "file":
        raise _bad(entry, "pages from files have the origin null")
    if re.search(r"[/?#]", rest):
        raise _bad(entry, "an origin has no path, nor a slash at its end")
    if not rest.isascii():
        raise _bad(entry, "browsers send such a name in its form xn--…")
    if scheme not in _DEFAULT_PORTS:
        if not _APP_HOST.fullmatch(rest):
            raise _bad(entry, "an origin is scheme://host[:port]")
        return origin
    return _web_origin(entry, scheme, rest)


def _web_origin(entry: str, scheme: str, rest: str) -> str:
    # A colon within brackets belongs to an IPv6 address.
    portless = rest.endswith("]") or ":" not in rest
    host = rest if portless else rest.rpartition(":")[0]
    if not _WEB_HOST.fullmatch(host):
        raise _bad(entry, "an origin is scheme://host[:port]")
    if host == rest:
        return f"{scheme}://{host}"
    try:
        number = urlsplit(f"//{rest}").port
    except ValueError as exc:
        raise _bad(entry, "its port is not a number up to 65535") from exc
    if not number:
        raise _bad(entry, "its port is not a number from 1 to 65535")
    return f"{scheme}://{host}" + ("" if number == _DEFAULT_PORTS[scheme] else f":{number}")


def _bad(entry: str, why: str) -> ValueError:
    return ValueError(f"has an entry that no page can match: {entry!r}; {why}")
