"""Finds the Redis of a service: by its variable, or the private one of `turnstream up`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from turnstream.cli.console import BAD_SETTING
from turnstream.cli.data_dir import default_data_dir
from turnstream.cli.redis_server import url_file
from turnstream.turns.admin import Admin, UnknownWorker
from turnstream.turns.connection import connect
from turnstream.turns.environment import PREFIX
from turnstream.turns.errors import TurnError
from turnstream.turns.redis_problem import REDIS_ERRORS, problem_of
from turnstream.turns.settings import TurnSettings


class NoService(Exception):
    """No variable names a Redis, and no `turnstream up` has left its URL."""


def service_settings(environ: Mapping[str, str]) -> TurnSettings:
    """Return the settings of the service that the environment, or else a data directory, names.

    Raises:
        NoService: there is none.
        SettingError: naming the variable and what is wrong with it.
    """
    if environ.get(f"{PREFIX}REDIS_URL", "").strip():
        return TurnSettings.read(environ)
    named = environ.get(f"{PREFIX}DATA_DIR", "").strip()
    directory = Path(named).expanduser() if named else default_data_dir(environ)
    try:
        url = url_file(directory / "redis").read_text().strip()
    except OSError as exc:
        raise NoService(
            f"no `turnstream up` has run with the data directory {directory}: name it by --data-dir"
            f" or {PREFIX}DATA_DIR, or Redis by {PREFIX}REDIS_URL"
        ) from exc
    return TurnSettings.read({**environ, f"{PREFIX}REDIS_URL": url})


def with_admin(command: str, environ: Mapping[str, str], work: Callable[[Admin], int]) -> int:
    """Do an operator's work; return the exit code. What goes wrong is one line."""
    try:
        settings = service_settings(environ)
    except NoService as exc:
        print(f"turnstream {command}: {exc}", file=sys.stderr)
        return BAD_SETTING
    try:
        with connect(settings.redis_url) as client:
            return work(Admin(client, settings))
    except REDIS_ERRORS as exc:
        problem = problem_of(exc, settings.redis_url)
        print(f"turnstream {command}: Redis can't be used: {problem}", file=sys.stderr)
    except TurnError as exc:
        print(f"turnstream {command}: {exc.message}", file=sys.stderr)
    except UnknownWorker as exc:
        print(f"turnstream {command}: {exc}", file=sys.stderr)
    return 1
