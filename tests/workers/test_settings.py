"""A worker's settings are checked at its start."""

import pytest

from turnstream.turns.environment import SettingError
from turnstream.workers.settings import WorkerSettings


def test_several_devices_for_one_model_need_vllm() -> None:
    two = {"TURNSTREAM_TENSOR_PARALLEL": "2"}

    assert WorkerSettings.read({"TURNSTREAM_ENGINE": "vllm", **two}).tensor_parallel == 2
    with pytest.raises(SettingError, match=r"^TURNSTREAM_TENSOR_PARALLEL must be 1 for .* slot"):
        WorkerSettings.read(two)


def test_an_engine_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match=r"^TURNSTREAM_ENGINE must be one of slot, vllm"):
        WorkerSettings.read({"TURNSTREAM_ENGINE": "steam"})


REMOTE = {"TURNSTREAM_ENGINE": "remote", "TURNSTREAM_REMOTE_URLS": "http://a:8000/v1/, https://b"}


def test_servers_of_the_engine_remote_have_one_key_or_one_each() -> None:
    one = WorkerSettings.read(REMOTE | {"TURNSTREAM_REMOTE_API_KEYS": "k"}).remote
    each = WorkerSettings.read(REMOTE | {"TURNSTREAM_REMOTE_API_KEYS": "k, l"}).remote

    assert WorkerSettings.read(REMOTE).remote.servers == (("http://a:8000", ""), ("https://b", ""))
    assert one.servers == (("http://a:8000", "k"), ("https://b", "k"))
    assert each.servers == (("http://a:8000", "k"), ("https://b", "l"))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"REMOTE_URLS": ""}, "REMOTE_URLS must have the servers of the engine remote"),
        ({"REMOTE_URLS": "a:8000"}, "REMOTE_URLS must be URLs that begin with http:// or https://"),
        ({"REMOTE_URLS": "http://me:pw@a"}, "REMOTE_URLS must be URLs without a user, a query"),
        ({"REMOTE_API_KEYS": "a,b,c"}, "REMOTE_API_KEYS must be one key or 2, one for each server"),
        ({"QUANTIZE": "int8"}, "QUANTIZE must be none for the engine remote, not int8"),
        ({"TENSOR_PARALLEL": "2"}, "TENSOR_PARALLEL must be 1 for the engine remote, not 2"),
    ],
)
def test_what_the_engine_remote_cannot_do_is_refused_by_name(
    changed: dict[str, str], problem: str
) -> None:
    changed = {f"TURNSTREAM_{name}": value for name, value in changed.items()}
    with pytest.raises(SettingError, match=f"^TURNSTREAM_{problem}"):
        WorkerSettings.read(REMOTE | changed)
