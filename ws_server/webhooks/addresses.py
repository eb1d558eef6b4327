"""Tells which URLs and addresses webhooks may be sent to.

An endpoint's owner chooses the URL, and this node is inside a network that the owner may not be in:
without these rules a webhook would reach what only that network should (SSRF).
"""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

#: `public`: HTTPS to public addresses. `any`: HTTP too, and addresses of private networks.
Targets = Literal["public", "any"]

#: Longest URL of an endpoint.
MOST_CHARACTERS = 2048

#: What `ipaddress` counts as global, or did in some version of it, and what is not somebody's
#: public server: shared address space of carriers (RFC 6598), Azure's address for its virtual
#: machines, translation within a network (RFC 8215), and IPv6 addresses that were site-local.
_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        ("100.64.0.0/10", "192.0.0.0/24", "168.63.129.16/32", "64:ff9b:1::/48", "fec0::/10"),
    )
)
#: IPv4 addresses as IPv6 ones, in networks that have no IPv4 (NAT64, RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an address, IPv4 or IPv6, is one of the public internet."""
    try:
        whole = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(whole, ipaddress.IPv4Address):
        return _is_public(whole)
    if whole.ipv4_mapped is not None:
        return _is_public(whole.ipv4_mapped)
    if whole in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(whole) & 0xFFFF_FFFF))
    return _is_public(whole) and (whole.sixtofour is None or _is_public(whole.sixtofour))


def check_url(url: str, targets: Targets) -> None:
    """Check the URL of an endpoint; where its name leads is seen when it is used.

    Raises:
        ValueError: saying what an endpoint's URL must be.
    """
    if len(url) > MOST_CHARACTERS or not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(f"a URL of at most {MOST_CHARACTERS} ASCII characters without spaces")
    schemes = ("https",) if targets == "public" else ("https", "http")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError("a URL whose host and port can be read") from exc
    if parts.scheme not in schemes:
        raise ValueError(f"a URL that begins with {' or '.join(f'{each}://' for each in schemes)}")
    if not host or port == 0:
        raise ValueError("a URL with a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("a URL without user, password and fragment")
    if targets == "public" and _is_address(host) and not is_public(host):
        raise ValueError("a URL whose host is public: this address is of a private network")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _REFUSED)
    )
