"""Checks of `turnstream up` before it starts anything."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from turnstream.cli.child import Groups
from turnstream.cli.front_ends import free_to_listen
from turnstream.cli.main import main
from turnstream.cli.ports import FIRST, PAST_LAST, free_port
from turnstream.cli.supervisor import GiveUp
from turnstream.cli.up import Up
from turnstream.cli.up_settings import UpSettings


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_port_in_use_is_reported_before_anything_starts(
    taken: socket.socket, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.delenv("TURNSTREAM_PORT", raising=False)
    port = taken.getsockname()[1]
    for name in ("TURNSTREAM_PORT", "TURNSTREAM_DATA_DIR"):
        monkeypatch.setenv(name, "")  # restores what `main` sets

    code = main(["up", "--port", str(port), "--data-dir", str(tmp_path)])

    assert code == 1
    assert capfd.readouterr().err == (
        f"turnstream up: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    )
    assert not (tmp_path / "redis").exists()


def test_port_zero_is_a_free_port_that_the_system_gives_to_nobody_else() -> None:
    assert FIRST <= free_to_listen("127.0.0.1", 0) < PAST_LAST


def test_an_address_that_this_machine_lacks_is_reported_for_port_zero_too() -> None:
    with pytest.raises(GiveUp, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        free_to_listen("192.0.2.1", 0)


def test_redis_never_gets_the_front_ends_port(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = iter([7, 7, 9])
    monkeypatch.setattr("turnstream.cli.ports.secrets.randbelow", lambda past: next(chosen))
    monkeypatch.setattr("turnstream.cli.ports.can_listen", lambda host, port: True)

    assert free_port(other_than=FIRST + 7) == FIRST + 9


def test_an_empty_redis_url_means_a_private_redis() -> None:
    assert UpSettings.read({"TURNSTREAM_REDIS_URL": ""}).redis_url is None


@pytest.mark.parametrize(
    ("environ", "indexes"),
    [
        ({}, ["0", "1"]),
        ({"TURNSTREAM_REDIS_URL": "redis://h"}, ["", ""]),
        ({"TURNSTREAM_REDIS_URL": "redis://h", "TURNSTREAM_WORKER_INDEX": "4"}, ["4", "5"]),
    ],
)
def test_workers_lease_their_indexes_where_the_redis_may_have_others(
    environ: dict[str, str], indexes: list[str]
) -> None:
    settings = UpSettings.read({"TURNSTREAM_WORKERS": "2", **environ})
    commands = Up(settings, 8000, Groups(0)).commands("redis://h")

    workers = [command for command in commands if command.argv[-1] == "worker"]
    assert [worker.environ["TURNSTREAM_WORKER_INDEX"] for worker in workers] == indexes


def test_a_redis_that_does_not_answer_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.cli.up.REDIS_SECONDS", 0.2)
    for name in ("PORT", "DATA_DIR", "REDIS_URL"):
        monkeypatch.setenv(f"TURNSTREAM_{name}", "")

    code = main(
        ["up", "--port", "0", "--data-dir", str(tmp_path), "--redis-url", "redis://127.0.0.1:1"]
    )

    assert code == 1
    assert "TURNSTREAM_REDIS_URL" in capfd.readouterr().err


@pytest.mark.parametrize(("given", "expected"), [("", "25"), ("60", "60")])
def test_workers_divide_the_memory_unless_their_share_is_set(
    given: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTREAM_MEMORY_SHARE", given)
    settings = UpSettings.read({"TURNSTREAM_WORKERS": "2", "TURNSTREAM_MODEL": "a,b"})
    commands = Up(settings, 8000, cast(Any, None)).commands("redis://127.0.0.1:1")
    shares = [
        each.environ.get("TURNSTREAM_MEMORY_SHARE") for each in commands if "worker" in each.name
    ]
    assert shares == [expected] * 4
