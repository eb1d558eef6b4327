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
