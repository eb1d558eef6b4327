"""Settings say which variable is wrong, and how."""

import pytest

from turnstream.turns.environment import SettingError
from turnstream.turns.settings import TurnSettings


def test_nothing_set_gives_the_defaults() -> None:
    assert TurnSettings.read({}) == TurnSettings()


def test_an_empty_variable_counts_as_not_set() -> None:
    assert TurnSettings.read({"TURNSTREAM_LOG_SECONDS": " "}).log_seconds == 900


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "REDIS_URL",
            "http://x",
            "must begin with redis://, rediss://, sentinel:// or rediss+sentinel://",
        ),
        ("LOG_SECONDS", "soon", "must be a whole number, not 'soon'"),
        ("LOG_SECONDS", "0", "must be from 1 to 2592000, not 0"),
        ("LEASE_SECONDS", "nan", "must be at least 1.0 seconds, not nan"),
        ("LEASE_SECONDS", "5s", "must be a number of seconds, not '5s'"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingError) as refused:
        TurnSettings.read({f"TURNSTREAM_{name}": value})

    assert str(refused.value) == f"TURNSTREAM_{name} {problem}"
