"""The settings of `turnstream up` itself; its children read the others from the environment.

`TURNSTREAM_MODEL` may have several models here, and each child gets one of them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from turnstream.cli.data_dir import default_data_dir
from turnstream.cli.memory import LEAST, SHARE
from turnstream.turns.environment import Setting, read_all, whole
from turnstream.turns.model_name import served_name
from turnstream.turns.settings import KEY_PREFIX, MODEL, REDIS_URL, blob_store
from turnstream.workers.settings import WORKER_INDEX, WORKER_METRICS_PORT
from turnstream.ws_server.settings import FILES, HOST, PORT, PROCESSES


def _models(value: str) -> tuple[str, ...]:
    """Split the models of the setting, whose names must differ."""
    models = tuple(filter(None, map(str.strip, value.split(","))))
    for name, times in Counter(map(served_name, models)).items():
        if times > 1:
            raise ValueError(f"has two models called {name!r}; write NAME= before one of them")
    return models


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """How `turnstream up` runs."""

    data_dir: Path = Setting(
        "DATA_DIR",
        lambda value: Path(value).expanduser(),
        None,
        "where `turnstream up` keeps its private Redis; `$XDG_DATA_HOME/turnstream` if that is set",
        shown="`~/.local/share/turnstream`",
    ).field()
    redis_memory: int = Setting(
        "REDIS_MEMORY",
        whole(LEAST, 2**50),
        0,
        "bytes that the data in the private Redis may take; then requests are refused, and what was"
        " accepted is kept",
        shown=f"1/{SHARE} of the machine's or container's memory",
    ).field()
    workers: int = Setting(
        "WORKERS", whole(1, 64), 1, "worker processes that `turnstream up` starts for each model"
    ).field()
    processes: int = PROCESSES.field()
    host: str = HOST.field()
    #: 0: any free port.
    port: int = replace(PORT, form=whole(0, 65535)).field()
    #: The first one is that of requests that name none.
    models: tuple[str, ...] = replace(
        MODEL, form=_models, default=("demo",), shown="`demo`"
    ).field()
    #: The index of the first worker; the others follow it. None: they lease theirs, or in a private
    #: Redis, where no others are, begin with 0.
    first_worker: int | None = WORKER_INDEX.field()
    #: The port of the first worker's metrics; the others follow it.
    worker_metrics_port: int = WORKER_METRICS_PORT.field()
    #: Where the front end stores files.
    files: str = replace(FILES, default="").field()
    key_prefix: str = KEY_PREFIX.field()
    #: None: a private Redis.
    redis_url: str | None = replace(REDIS_URL, default=None).field()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "UpSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        values = read_all(cls, environ)
        values["data_dir"] = values["data_dir"] or default_data_dir(environ)
        values["files"] = values["files"] or blob_store(str(values["data_dir"] / "files"))
        return cls(**values)
