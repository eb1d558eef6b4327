"""Which servers are warned about."""

import pytest

from turnstream.turns.redis_version import server_of, version_warning


@pytest.mark.parametrize(
    ("name", "version", "fixed"),
    [
        ("Redis", "6.2.14", "6.2.20"),
        ("Redis", "7.0.15", "7.2.11"),
        ("Redis", "7.2.4", "7.2.11"),
        ("Redis", "8.2.1", "8.2.2"),
        ("Valkey", "8.0.5", "8.0.6"),
        ("Valkey", "8.1.3", "8.1.4"),
    ],
)
def test_a_server_with_known_faults_is_told_the_version_that_mends_them(
    name: str, version: str, fixed: str
) -> None:
    warning = version_warning(name, version)

    assert warning is not None
    assert f"{name} {version} " in warning
    assert f"use {fixed} " in warning


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("Redis", "6.2.20"),
        ("Redis", "7.2.11"),
        ("Redis", "8.4.0"),
        ("Valkey", "9.1.2"),
        ("Valkey", "8.1.4"),
        ("Redis", "unknown"),
        ("Dragonfly", "1.0.0"),
    ],
)
def test_a_mended_or_unknown_server_is_not_warned_about(name: str, version: str) -> None:
    assert version_warning(name, version) is None


def test_valkey_is_not_judged_by_the_redis_version_that_it_is_compatible_with() -> None:
    info = {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}

    assert server_of(info) == ("Valkey", "9.1.2")
    assert server_of({"redis_version": "7.2.4"}) == ("Redis", "7.2.4")
