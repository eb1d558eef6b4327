"""Does an operator's work on a running service; what goes wrong is one line and an exit code."""

import sys
from collections.abc import Callable, Mapping

from turnstream.cli.service_redis import redis_of_service
from turnstream.turns.admin import Admin, UnknownWorker
from turnstream.turns.connection import connect
from turnstream.turns.environment import PREFIX
from turnstream.turns.errors import TurnError
from turnstream.turns.redis_problem import REDIS_ERRORS, problem_of
from turnstream.turns.settings import TurnSettings


def with_admin(command: str, environ: Mapping[str, str], work: Callable[[Admin], int]) -> int:
    """Do an operator's work; return the exit code.

    Raises:
        SettingError: no variable and no data directory says where Redis is, or a setting is wrong.
    """
    url = redis_of_service(environ)
    settings = TurnSettings.read({**environ, f"{PREFIX}REDIS_URL": url})
    try:
        with connect(settings.redis_url, key_prefix=settings.key_prefix) as client:
            return work(Admin(client, settings))
    except REDIS_ERRORS as exc:
        problem = problem_of(exc, settings.redis_url)
        print(f"turnstream {command}: Redis can't be used: {problem}", file=sys.stderr)
    except TurnError as exc:
        print(f"turnstream {command}: {exc.message}", file=sys.stderr)
    except UnknownWorker as exc:
        print(f"turnstream {command}: {exc}", file=sys.stderr)
    return 1
