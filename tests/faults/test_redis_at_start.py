"""A Redis that does not let us in: the cause in words, to operators at the start and to clients."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from harness.ports import free_port
from harness.redis_server import RedisServer
from harness.service import ROOT
from harness.tls import TlsProxy
from turnstream.cli.main import main
from turnstream.turns.redis_problem import Cause
from turnstream.ws_server.app import create_app
from turnstream.ws_server.settings import ServerSettings

PASSWORD = "a-secret-word"
WRONG = "another-secret"
#: For each cause, its URL here, and words that the log and a client read.
CAUSES = {
    "password_refused": "Redis refuses the user or the password",
    "user_unknown": "Redis refuses the user or the password",
    "password_required": "Redis requires a password",
    "password_unexpected": "Redis has no password",
    "not_permitted": "the user of Redis lacks",
    "certificate_not_trusted": "the certificate of Redis is not trusted",
    "not_tls": "nothing speaks TLS",
    "connection_closed": "Redis closed the connection",
    "unreachable": "Redis can't be reached",
    "unknown_host": "the host of Redis has no address",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def locked(directory: Path) -> Iterator[RedisServer]:
    """A Redis with a password."""
    with RedisServer(directory) as server:
        server.admin.config_set("requirepass", PASSWORD)
        server.admin.auth(PASSWORD)
        rule = f"ACL SETUSER reader reset on >{PASSWORD} ~ts:* ~turns.* &* +@read +@connection"
        server.admin.execute_command(*rule.split())
        yield server


@pytest.fixture(scope="module")
def proxy(directory: Path, locked: RedisServer) -> Iterator[TlsProxy]:
    with TlsProxy(directory, locked.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def urls(directory: Path, locked: RedisServer, proxy: TlsProxy) -> Iterator[Mapping[str, str]]:
    with RedisServer(directory) as unlocked:
        yield {
            "password_refused": locked.url(f":{WRONG}@"),
            "user_unknown": locked.url(f"nobody:{PASSWORD}@"),
            "password_required": locked.url(),
            "password_unexpected": unlocked.url(f":{WRONG}@"),
            "not_permitted": locked.url(f"reader:{PASSWORD}@"),
            "certificate_not_trusted": f"rediss://:{PASSWORD}@127.0.0.1:{proxy.port}/0",
            "not_tls": f"rediss://:{PASSWORD}@127.0.0.1:{locked.port}/0",
            "connection_closed": f"redis://:{PASSWORD}@127.0.0.1:{proxy.port}/0",
            "unreachable": f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0",
            "unknown_host": f"redis://:{PASSWORD}@redis.invalid:6379/0",
        }


@asynccontextmanager
async def node(redis_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a front end in this process, and give a client of it."""
    before = connected()
    app = create_app(ServerSettings.read({"TURNSTREAM_REDIS_URL": redis_url}))
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=transport, timeout=30, base_url="http://127.0.0.1:8000"
        ) as http,
    ):
        yield http
    # redis-py does not wait until a subscription's connection has been closed, and TLS needs the
    # other side for that. One that is left to a loop that ended is a ResourceWarning, somewhere.
    async with asyncio.timeout(30):
        while connected() - before:
            await asyncio.sleep(0.01)


def connected() -> set[tuple[object, object]]:
    """Return both addresses of each TCP connection of this process."""
    every = psutil.Process().net_connections("tcp")
    return {(one.laddr, one.raddr) for one in every if one.raddr}


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_front_end_says_why_it_is_not_ready(
    urls: Mapping[str, str], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = CAUSES[cause]
    async with node(urls[cause]) as http:
        # On a busy machine a connection is late at times, and then that is the cause.
        async with asyncio.timeout(30):
            while True:
                refused = await http.post("/v1/responses", json={"input": "Hi"})
                ready = await http.get("/readyz")
                if words in refused.text and words in ready.text:
                    break

    health, error = ready.json(), refused.json()["error"]
    assert (ready.status_code, health["status"]) == (503, "no redis")
    assert health["cause"] == cause.replace("user_unknown", "password_refused")
    assert health["detail"].startswith(words)
    assert (refused.status_code, error["code"]) == (503, "overloaded")
    assert words in error["message"]
    assert f"Redis can't be used: {words}" in caplog.text
    assert "TURNSTREAM_REDIS_URL" in caplog.text or "docs/redis.md" in caplog.text
    everything = caplog.text + ready.text + refused.text
    assert PASSWORD not in everything
    assert WRONG not in everything
    assert "Traceback" not in caplog.text


async def test_a_certificate_whose_authority_is_named_is_trusted(
    proxy: TlsProxy, locked: RedisServer
) -> None:
    redis_url = f"rediss://:{PASSWORD}@127.0.0.1:{proxy.port}/0?ssl_ca_certs={proxy.certificate}"
    async with node(redis_url) as http:
        assert (await http.get("/readyz")).json() == {"status": "no worker for demo"}


@pytest.mark.parametrize("cause", ["password_refused", "certificate_not_trusted", "not_permitted"])
def test_up_ends_at_once_with_the_cause_when_a_setting_is_wrong(
    urls: Mapping[str, str],
    tmp_path: Path,
    cause: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PORT", "DATA_DIR", "REDIS_URL"):
        monkeypatch.setenv(f"TURNSTREAM_{name}", "")  # restores what `main` sets

    code = main(["up", "--port", "0", "--data-dir", str(tmp_path), "--redis-url", urls[cause]])

    said = capfd.readouterr().err
    assert code == 2
    assert said.startswith(f"turnstream up: Redis can't be used: {CAUSES[cause]}")
    assert PASSWORD not in said
    assert WRONG not in said


def test_every_cause_is_documented() -> None:
    documented = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")

    assert [cause.value for cause in Cause if f"`{cause.value}`" not in documented] == []
