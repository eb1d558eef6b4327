"""Runs a primary, a replica and three Sentinels, with passwords, for tests of failovers."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from harness.ports import free_port
from harness.redis_server import RedisServer
from turnstream.cli.redis_server import find_program

NAME = "prime"
PASSWORD = "a-secret/word"
SENTINEL_PASSWORD = "a-secret@sentinel"
#: After this silence a Sentinel considers the primary down.
DOWN_MS = 1000
PATIENCE_SECONDS = 30.0


class Sentinels:
    """Two Redis servers and their Sentinels; a context manager."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self.servers = [RedisServer(directory, *options, password=PASSWORD) for _ in range(2)]
        self._ports = [free_port() for _ in range(3)]

    @property
    def url(self) -> str:
        """The URL of the primary, by its Sentinels."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        secret, theirs = PASSWORD.replace("/", "%2F"), SENTINEL_PASSWORD.replace("@", "%40")
        return f"sentinel://:{secret}@{hosts}/{NAME}/0?sentinel_password={theirs}"

    @property
    def primary(self) -> RedisServer:
        """The server that the Sentinels consider the primary."""
        with self._sentinel(self._ports[0]) as sentinel:
            [_, port] = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        [primary] = [server for server in self.servers if server.port == int(port)]
        return primary

    @property
    def other(self) -> RedisServer:
        """The other one."""
        primary = self.primary
        [other] = [server for server in self.servers if server is not primary]
        return other

    def fail_over(self) -> None:
        """Let the Sentinels make the replica the primary, while both run."""
        with self._sentinel(self._ports[0]) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", NAME)

    def wait_until(self, primary: RedisServer) -> None:
        """Wait until all Sentinels consider a server the primary, and it takes writes."""
        for port in self._ports:
            with self._sentinel(port) as sentinel:
                _until(
                    lambda s=sentinel: (  # type: ignore[misc]
                        int(s.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])
                        == primary.port
                    )
                )
        _until(lambda: primary.admin.info("replication")["role"] == "master")

    def wait_until_replicated(self) -> None:
        """Wait until the primary has the other one as its replica, and the Sentinels know it."""
        primary = self.primary
        _until(lambda: primary.admin.info("replication")["connected_slaves"] == 1)
        _until(lambda: self.other.admin.info("replication")["master_link_status"] == "up")
        for port in self._ports:
            with self._sentinel(port) as sentinel:
                _until(lambda s=sentinel: _ready(s))  # type: ignore[misc]

    def __enter__(self) -> Self:
        first, second = self.servers
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            second.admin.replicaof("127.0.0.1", str(first.port))
            for port in self._ports:
                self._start(port, first.port, stack)
            self._stack = stack.pop_all()
        self.wait_until_replicated()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self, port: int, primary: int, stack: ExitStack) -> None:
        folder = self._directory / f"sentinel-{port}"
        folder.mkdir()
        (folder / "sentinel.conf").write_text(
            f"""\
port {port}
bind 127.0.0.1
dir {folder}
logfile {folder / "log"}
requirepass "{SENTINEL_PASSWORD}"
sentinel sentinel-pass "{SENTINEL_PASSWORD}"
sentinel monitor {NAME} 127.0.0.1 {primary} 2
sentinel auth-pass {NAME} {PASSWORD}
sentinel down-after-milliseconds {NAME} {DOWN_MS}
sentinel failover-timeout {NAME} 10000
"""
        )
        argv = (find_program().path, str(folder / "sentinel.conf"), "--sentinel")
        process = subprocess.Popen(argv)
        stack.callback(process.wait)
        stack.callback(process.kill)

    def _sentinel(self, port: int) -> "Redis":
        return Redis(port=port, password=SENTINEL_PASSWORD, protocol=2, decode_responses=True)


def _ready(sentinel: "Redis") -> bool:
    """Return whether a Sentinel could fail over: it knows the replica and both others."""
    fields = sentinel.execute_command("SENTINEL", "MASTER", NAME)
    state = (
        fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    )
    replicas = sentinel.execute_command("SENTINEL", "REPLICAS", NAME)
    up = "s_down" not in str(replicas) and "disconnected" not in str(replicas)
    return int(state["num-slaves"]) == 1 and int(state["num-other-sentinels"]) == 2 and up


def _until(claim: object) -> None:
    assert callable(claim)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if claim():
                return
        except RedisError:
            pass
        assert time.monotonic() < deadline, "the Sentinels are not where they should be"
        time.sleep(0.02)
