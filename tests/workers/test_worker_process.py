"""The worker process around the creation of its worker."""

import gc
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from turnstream.turns.settings import TurnSettings
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


@pytest.mark.parametrize(("signal_code", "celery_code"), [(0, 0), (1, 1)])
def test_the_exit_code_is_zero_after_a_signal(signal_code: int, celery_code: int) -> None:
    process = celery.WorkerProcess()
    # Celery's own code after Ctrl-C is 1.
    process.told_to_stop(exitcode=signal_code)
    process.close(sender=SimpleNamespace(exitcode=celery_code))
    assert process.exit_code == 0


@pytest.mark.parametrize(
    ("celery_code", "exit_code"), [(None, celery.UNASKED), (0, celery.UNASKED), (70, 70)]
)
def test_the_exit_code_is_not_zero_when_nobody_asked_for_the_end(
    celery_code: int | None, exit_code: int
) -> None:
    process = celery.WorkerProcess()
    process.close(sender=SimpleNamespace(exitcode=celery_code))
    assert process.exit_code == exit_code


def test_the_exit_code_is_not_zero_when_celery_gives_up_after_a_signal() -> None:
    process = celery.WorkerProcess()
    process.told_to_stop(exitcode=0)
    process.close(sender=SimpleNamespace(exitcode=1))
    assert process.exit_code == 1


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("redis://:p@h:1/0", None),
        ("rediss://:p@h:1/0", {"ssl_cert_reqs": "required"}),
        (
            "rediss://:p@h:1/0?ssl_ca_certs=/ca.pem&socket_timeout=3",
            {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem"},
        ),
        ("rediss://:p@h:1/0?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}),
    ],
)
def test_celery_checks_a_certificate_as_the_other_connections_do(
    url: str, tls: dict[str, str] | None
) -> None:
    settings = celery.celery_settings(TurnSettings(redis_url=url))

    assert settings.get("broker_use_ssl") == tls
    assert settings["broker_url"] == url.partition("?")[0]


def test_celery_asks_the_same_sentinels_for_the_same_primary() -> None:
    url = "rediss+sentinel://u:p%2Fw@h1,h2:7/prime/3?ssl_ca_certs=/ca.pem&sentinel_password=s%40"
    settings = celery.celery_settings(TurnSettings(redis_url=url, key_prefix="a:"))
    options = settings["broker_transport_options"]

    assert settings["broker_url"] == "sentinel://u:p%2Fw@h1:26379/3;sentinel://u:p%2Fw@h2:7/3"
    assert settings["broker_transport"].endswith(":SentinelTransport")
    assert settings["broker_use_ssl"] == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem"}
    assert (options["master_name"], options["global_keyprefix"]) == ("prime", "a:")
    theirs = {"password": "s@", "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert theirs.items() <= options["sentinel_kwargs"].items()
