"""The front-end processes of `turnstream serve` and `turnstream up`: one, or several on one port.

Each is a node of its own. Several listen with SO_REUSEPORT: the system spreads connections evenly,
also idle ones, and gives a process that ended no more of them. A socket that they all accept from
would leave most of the connections of a quiet service with one process.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from turnstream.cli.child import Command
from turnstream.cli.console import BAD_SETTING
from turnstream.cli.ports import free_port, listen_once
from turnstream.cli.supervisor import GiveUp

#: How a command of ours is started, without the current folder on its path.
TURNSTREAM = (sys.executable, "-P", "-m", "turnstream")


def front_ends(environ: Mapping[str, str], *, processes: int, port: int) -> Sequence[Command]:
    """Return the commands of front ends with these settings; each gets a name of its own."""
    argv = (*TURNSTREAM, "serve")
    if processes == 1:
        return [Command(name="front-end", argv=argv, environ=environ)]
    node = environ.get("TURNSTREAM_NODE") or f"{socket.gethostname()}:{port}"
    metrics = int(environ.get("TURNSTREAM_METRICS_PORT") or 0)
    return [
        Command(
            name=f"front-end-{number}",
            argv=argv,
            environ={
                **environ,
                "TURNSTREAM_PROCESSES": "1",
                "TURNSTREAM_REUSE_PORT": "yes",
                "TURNSTREAM_NODE": f"{node}-{number}",
                # The shared port is answered by any of them.
                "TURNSTREAM_METRICS_PORT": str(metrics and metrics + number),
            },
        )
        for number in range(processes)
    ]


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child, with the source tree, if this is one, on `PYTHONPATH`.

    Children run with -P, which keeps the current folder off their path, and the tree need not be
    installed.
    """
    # Otherwise output through a pipe appears only when a buffer is full.
    environ = {**environ, "PYTHONUNBUFFERED": "1"}
    source = Path(__file__).parents[2]
    if not (source / "pyproject.toml").is_file():
        return dict(environ)
    path = os.pathsep.join(filter(None, [str(source), environ.get("PYTHONPATH")]))
    return {**environ, "PYTHONPATH": path}


def free_to_listen(host: str, port: int) -> int:
    """Return the port if it is not in use; for 0 return one that is free.

    Raises:
        GiveUp: the port is in use, or this machine has no such address.
    """
    try:
        if port == 0:
            return free_port(host)
        listen_once(host, port)
    except socket.gaierror as exc:
        raise GiveUp(f"--host {host}: {exc.strerror}", code=BAD_SETTING) from exc
    except OSError as exc:
        raise GiveUp(f"cannot listen on {host} port {port}: {exc.strerror}") from exc
    return port
