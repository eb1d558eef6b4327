"""Reads settings from `TURNSTREAM_*` variables; a bad one is an error that names it."""

import math
from collections.abc import Mapping

PREFIX = "TURNSTREAM_"


class SettingError(ValueError):
    """A setting can't be what it is set to."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{PREFIX}{name} {problem}")


def text(environ: Mapping[str, str], name: str, default: str) -> str:
    """Read a text; an empty variable counts as not set."""
    return environ.get(PREFIX + name, "").strip() or default


def choice(environ: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    """Read one of a few words."""
    value = text(environ, name, default)
    if value not in choices:
        raise SettingError(name, f"must be one of {', '.join(choices)}, not {value!r}")
    return value


def whole(environ: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    """Read a whole number within bounds."""
    value = text(environ, name, str(default))
    if not value.lstrip("-").isascii() or not value.lstrip("-").isdigit():
        raise SettingError(name, f"must be a whole number, not {value!r}")
    if not least <= int(value) <= most:
        raise SettingError(name, f"must be from {least} to {most}, not {value}")
    return int(value)


def seconds(environ: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    """Read a time in seconds."""
    value = text(environ, name, str(default))
    try:
        number = float(value)
    except ValueError as exc:
        raise SettingError(name, f"must be a number of seconds, not {value!r}") from exc
    if not math.isfinite(number) or number < least:
        raise SettingError(name, f"must be at least {least} seconds, not {value}")
    return number
