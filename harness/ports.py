"""Gives ports for servers that a test starts.

Not from the range from which the system takes ports itself: between the choice of a port there and
its use, any connection or server on a busy machine may be given it.
"""

import os
import secrets
import socket

#: Below the range of Linux and of macOS.
FIRST, PAST_LAST = 20_000, 32_000
#: A part for each process of pytest-xdist, so that no two choose the same port.
PARTS = 8
PART = (PAST_LAST - FIRST) // PARTS


def free_port() -> int:
    """Return a port of the loopback interface that is not in use."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PARTS
    while True:
        port = FIRST + process * PART + secrets.randbelow(PART)
        with socket.socket() as probe:
            # As servers do: a port whose last connection has just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
