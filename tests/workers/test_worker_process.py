"""The worker process around the creation of its worker."""

import gc
import threading
from collections.abc import Iterator

import pytest

from turnstream.workers import celery
from turnstream.workers.settings import WorkerSettings


class IdleWorker:
    """A worker without a model."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Turn the garbage collector off, as `workers.main` does."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_the_garbage_collector_is_enabled_once_the_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(celery, "Worker", IdleWorker)
    celery.WorkerProcess().open()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
