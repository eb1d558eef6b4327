"""Chooses ports of the loopback interface for what `up` starts.

Not from the range from which the system takes ports itself: between the choice of a port there and
its use, any other connection or server may be given it.
"""

import secrets
import socket

#: Below the range of Linux and of macOS.
FIRST, PAST_LAST = 10_000, 20_000


def free_port(host: str = "127.0.0.1", *, other_than: int = 0) -> int:
    """Return a port on which nothing listens at this address, and not this other one.

    Raises:
        OSError: this machine has no such address.
    """
    listen_once(host, 0)
    while True:
        port = FIRST + secrets.randbelow(PAST_LAST - FIRST)
        if port != other_than and can_listen(host, port):
            return port


def can_listen(host: str, port: int) -> bool:
    """Return whether a server could listen there now."""
    try:
        listen_once(host, port)
    except OSError:
        return False
    return True


def listen_once(host: str, port: int) -> None:
    """Raise OSError if a server could not listen there now."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        # As servers do: a port whose last connection has just ended is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
