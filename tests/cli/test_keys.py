"""`turnstream keys`, against a real Redis."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turnstream.cli.main import main
from turnstream.cli.redis_server import PrivateRedis, find_program

Keys = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keys(
    redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Keys:
    """Run `turnstream keys` and return its exit code and output."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("TURNSTREAM_REDIS_URL", redis_url)
        code = main(["keys", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_key_is_printed_once_listed_and_revoked(keys: Keys, redis: Any) -> None:
    code, key, said = keys("create", "ann", "--tiers", "flex+default", "--expires", "30d")
    assert (code, key[:3], len(key.splitlines())) == (0, "ts-", 1)
    _, listed, _ = keys("list", "--json")
    [facts] = json.loads(listed)
    assert facts["owner"] == "ann"
    assert facts["tiers"] == ["default", "flex"]
    assert facts["expires_at"] - facts["created_at"] == 30 * 24 * 3600
    assert facts["id"] in said
    assert key.strip() not in keys("list")[1]

    assert keys("revoke", facts["id"])[0] == 0
    assert json.loads(keys("list", "--json")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("create", "a b"), "an owner is 1 to 64 letters"),
        (("create", "ann", "--expires", "soon"), "--expires is a time such as"),
        (("create", "ann", "--tiers", "fast"), "tiers are some of priority+default"),
        (("revoke", "key_1"), "there is no key 'key_1'"),
        (("limits", "ann", "cats=3"), "has no limit 'cats'"),
    ],
)
def test_what_is_wrong_with_an_option_is_told_in_a_line(
    keys: Keys, redis: Any, arguments: tuple[str, ...], problem: str
) -> None:
    code, out, said = keys(*arguments)

    assert (code, out, len(said.splitlines())) == (2, "", 1)
    assert problem in said


def test_limits_of_an_owner_are_shown_and_cleared(keys: Keys, redis: Any) -> None:
    assert keys("limits", "ann", "tokens_per_day=100", "tiers=flex")[0] == 0
    assert keys("limits")[1].split() == ["ann", "tokens_per_day=100", "tiers=flex"]
    assert keys("limits", "ann", "--clear")[1] == ""


def test_without_a_redis_it_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNSTREAM_REDIS_URL", "")
    monkeypatch.setenv("TURNSTREAM_DATA_DIR", "")

    assert main(["keys", "list", "--data-dir", str(tmp_path)]) == 2
    assert f"{tmp_path}/redis has no private Redis" in capsys.readouterr().err


def test_the_private_redis_of_up_is_found_in_its_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnstream.cli.service_redis import redis_of_service

    private = PrivateRedis.prepare(find_program(), tmp_path / "redis")

    assert redis_of_service({"TURNSTREAM_DATA_DIR": str(tmp_path)}) == private.url
