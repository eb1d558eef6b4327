"""Find the address that a connection or a request comes from, also behind a trusted proxy.

A proxy appends to `X-Forwarded-For` the address that it was connected from. So the list is read
from its end, and only as far as trusted proxies wrote it: the rest may be made up.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Networks = tuple[IPv4Network | IPv6Network, ...]

#: A provider gives each customer at least so much of IPv6.
_CUSTOMER_BITS = 64
#: Addresses whose group and trust are remembered.
_REMEMBERED = 4096


def networks(value: str) -> Networks:
    """Read a list of addresses and networks, separated by commas or spaces; `*` is all.

    Raises:
        ValueError: an entry is not an address or a network; the text says which.
    """
    found: list[IPv4Network | IPv6Network] = []
    for entry in value.replace(",", " ").split():
        if entry == "*":
            found += [ip_network("0.0.0.0/0"), ip_network("::/0")]
            continue
        try:
            found.append(ip_network(entry))
        except ValueError as exc:
            raise ValueError(f"must be a list of IP addresses or networks, not {entry!r}") from exc
    return tuple(found)


class Proxies:
    """Know which addresses are trusted proxies."""

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        #: Return whether an address is a trusted proxy's.
        self.trusts = lru_cache(_REMEMBERED)(self._trusts)

    def client(self, peer: str, forwarded: Iterable[bytes]) -> str:
        """Return the group of the address that a request comes from.

        Args:
            peer: the address at the other end of the connection.
            forwarded: the values of all `X-Forwarded-For` headers, in order.
        """
        if not (forwarded := list(forwarded)):
            return group(peer)
        hops = b",".join(forwarded).decode("latin-1").split(",")
        nearest = peer
        while hops and self.trusts(nearest):
            hop = _without_port(hops.pop().strip())
            if _parsed(hop) is None:
                break
            nearest = hop
        return group(nearest)

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


@lru_cache(_REMEMBERED)
def group(address: str) -> str:
    """Return what connections from an address are counted under: of IPv6, its network."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _CUSTOMER_BITS), strict=False))
    return address if parsed is None else str(parsed)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return (isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
