"""Declares settings, and reads them from `TURNSTREAM_*` variables.

A setting is declared once, as a field of a settings dataclass: its name, its form, its default and
its meaning. Reading, checking and docs/settings.md all come from the declaration.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PREFIX = "TURNSTREAM_"

#: Variables of earlier versions, and what they are called now.
RENAMED = {
    "LONGEST_LINE": "MAX_QUEUED",
    "MOST_ATTEMPTS": "MAX_ATTEMPTS",
    "NOBODY_SECONDS": "NO_WORKER_SECONDS",
    "ROWS": "SLOTS",
    "WATCH_SECONDS": "UNREAD_SECONDS",
}

#: Turns the text of a variable into a value. Raises ValueError, whose text follows the name.
Form = Callable[[str], Any]

_SETTING = "setting"


class SettingError(ValueError):
    """A variable has a value that can't be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{PREFIX}{name} {problem}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable, as it is declared."""

    #: Without the prefix.
    name: str
    form: Form
    #: The value when the variable is not set or empty.
    default: Any
    #: One line for docs/settings.md.
    meaning: str
    #: How the documentation writes the default, if not as the value itself.
    shown: str | None = None

    def field(self) -> Any:
        """Return a dataclass field that is read from this variable."""
        return field(default_factory=lambda: self.default, metadata={_SETTING: self})

    def read(self, environ: Mapping[str, str]) -> Any:
        """Read and check the variable.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        text = environ.get(PREFIX + self.name, "").strip()
        if not text:
            return self.default
        try:
            return self.form(text)
        except SettingError:
            raise
        except ValueError as exc:
            raise SettingError(self.name, str(exc)) from exc


def declared(cls: type) -> Iterator[tuple[str, Setting]]:
    """Yield the fields of a settings dataclass that are read from a variable, by name."""
    for each in fields(cls):
        if _SETTING in each.metadata:
            yield each.name, each.metadata[_SETTING]


def read_all(cls: type, environ: Mapping[str, str]) -> dict[str, Any]:
    """Read every declared field of a settings dataclass.

    Raises:
        SettingError: naming the variable and what is wrong with it, or its new name.
    """
    for former, name in RENAMED.items():
        if environ.get(PREFIX + former, "").strip():
            raise SettingError(former, f"is now called {PREFIX}{name}")
    return {name: each.read(environ) for name, each in declared(cls)}


def text(value: str) -> str:
    """Accept any text."""
    return value


def choice(*choices: str) -> Form:
    """Accept one of a few words."""

    def form(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    return form


def yes_or_no(value: str) -> bool:
    """Accept yes or no, also as true, false, 1 and 0."""
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if value.lower() not in words:
        raise ValueError(f"must be yes or no, not {value!r}")
    return words[value.lower()]


def whole(least: int, most: int) -> Form:
    """Accept a whole number within bounds."""

    def form(value: str) -> int:
        digits = value.lstrip("-")
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"must be a whole number, not {value!r}")
        if not least <= int(value) <= most:
            raise ValueError(f"must be from {least} to {most}, not {value}")
        return int(value)

    return form


def seconds(least: float) -> Form:
    """Accept a time in seconds."""

    def form(value: str) -> float:
        try:
            number = float(value)
        except ValueError as exc:
            raise ValueError(f"must be a number of seconds, not {value!r}") from exc
        if not math.isfinite(number) or number < least:
            raise ValueError(f"must be at least {least} seconds, not {value}")
        return number

    return form
