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
from harness.tls import TlsProxy
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

    def announced(self, server: RedisServer) -> int:
        """Return the port at which the Sentinels know a server."""
        return server.port

    @property
    def url(self) -> str:
        """The URL of the primary, by its Sentinels."""
        return f"sentinel://{_rest_of_url(self._ports)}"

    @property
    def primary(self) -> RedisServer:
        """The server that the Sentinels consider the primary."""
        with self._sentinel(self._ports[0]) as sentinel:
            [_, port] = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        [primary] = [server for server in self.servers if self.announced(server) == int(port)]
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
                        == self.announced(primary)
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
            second.admin.config_set("replica-announce-port", self.announced(second))
            first.admin.config_set("replica-announce-port", self.announced(first))
            second.admin.replicaof("127.0.0.1", str(self.announced(first)))
            for port in self._ports:
                self._start(port, self.announced(first), stack)
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


class TlsSentinels(Sentinels):
    """The same for clients that speak TLS; servers and Sentinels speak without to each other."""

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__(directory, *options)
        # What a Sentinel announces is used by clients and by itself.
        self._servers = {s.port: TlsProxy(directory, s.port, plain_too=True) for s in self.servers}
        self._sentinels = [TlsProxy(directory, port) for port in self._ports]

    @property
    def url(self) -> str:
        """The URL of the primary, by its Sentinels, with the certificate to trust."""
        rest = _rest_of_url([proxy.port for proxy in self._sentinels])
        return f"rediss+sentinel://{rest}&ssl_ca_certs={self._sentinels[0].certificate}"

    def announced(self, server: RedisServer) -> int:
        """Return the port at which the Sentinels know a server."""
        return self._servers[server.port].port

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for proxy in (*self._servers.values(), *self._sentinels):
                stack.enter_context(proxy)
            super().__enter__()
            self._stack.push(stack.pop_all())
        return self


def _rest_of_url(ports: list[int]) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    secret, theirs = PASSWORD.replace("/", "%2F"), SENTINEL_PASSWORD.replace("@", "%40")
    return f":{secret}@{hosts}/{NAME}/0?sentinel_password={theirs}"


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
