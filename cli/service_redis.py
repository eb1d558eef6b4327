"""Finds the Redis of a running service, for the commands of its operator.

A private Redis has its port and password in a file that only the user of `turnstream up` can read.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from turnstream.cli.up_settings import UpSettings
from turnstream.turns.environment import SettingError

_LINE = re.compile(r"^(port|requirepass) (\S+)$", re.MULTILINE)


def redis_of_service(environ: Mapping[str, str]) -> str:
    """Return the URL of `TURNSTREAM_REDIS_URL`, or of the private Redis in the data directory.

    Raises:
        SettingError: there is neither.
    """
    settings = UpSettings.read(environ)
    return settings.redis_url or _private(settings.data_dir.resolve() / "redis" / "redis.conf")


def _private(configuration: Path) -> str:
    try:
        found = dict(_LINE.findall(configuration.read_text()))
        return f"redis://:{found['requirepass']}@127.0.0.1:{found['port']}/0"
    except (OSError, KeyError) as exc:
        raise SettingError(
            "REDIS_URL",
            f"is not set, and {configuration.parent} has no private Redis of `turnstream up`"
            " (TURNSTREAM_DATA_DIR or --data-dir names another directory)",
        ) from exc
