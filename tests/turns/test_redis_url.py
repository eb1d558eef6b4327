"""A URL of Redis that can't be read is refused without its password."""

import pytest

from turnstream.turns.environment import SettingError
from turnstream.turns.settings import TurnSettings


@pytest.mark.parametrize(
    "url",
    [
        "http://h:1",
        "redis://:a-secret/word@h:6379/0",
        "redis://:a-secret@h:port/0",
        "redis://:a-secret@h:1/0?no_such_option=a-secret",
        "rediss://:a-secret@h:1/0?ssl_cert_reqs=perhaps",
        "sentinel://:a-secret@h",
        "sentinel://:a-secret@h,/prime/0",
        "sentinel://:a-secret@h:port/prime/0",
        "sentinel://:a-secret@h/prime/zero",
        "sentinel://h/prime/0?no_such_option=a-secret",
        "rediss+sentinel://:a-secret@h/prime/0?ssl_cert_reqs=perhaps",
    ],
)
def test_a_url_that_cannot_be_read_is_an_error_that_names_the_variable_only(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        TurnSettings.read({"TURNSTREAM_REDIS_URL": url})

    assert str(caught.value).startswith("TURNSTREAM_REDIS_URL ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://h1,h2:1,[::1]:2/prime",
        "redis+sentinel://u:p%2Fw@h/prime/2?sentinel_password=x",
        "rediss+sentinel://h/prime/0?ssl_ca_certs=/no/such/file",
        "redis://h",
        "redis://u:p%2Fw@h:1/3",
        "rediss://h:1/0?ssl_ca_certs=/no/such/file",
    ],
)
def test_a_url_that_can_be_read_is_taken_as_it_is(url: str) -> None:
    assert TurnSettings.read({"TURNSTREAM_REDIS_URL": url}).redis_url == url
