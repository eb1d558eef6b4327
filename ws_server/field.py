"""Read fields of a query, and make the errors that name a field."""

from collections.abc import Mapping
from typing import Any

from turnstream.turns.errors import BadRequest

Body = Mapping[str, Any]


def wrong(param: str, should: str) -> BadRequest:
    """Make the error of a value that is not what it should be."""
    return BadRequest(f"'{param}' must be {should}.", param=param)


def unsupported(param: str, hint: str) -> BadRequest:
    """Make the error of a field that is known but not served here."""
    return BadRequest(
        f"'{param}' is not supported: {hint}", code="unsupported_parameter", param=param
    )


def check_obfuscation(requested: bool | None) -> None:
    """Refuse to hide the lengths of slices.

    Raises:
        BadRequest: this was requested.
    """
    if requested:
        raise BadRequest(
            "'stream_options.include_obfuscation' must be false: slices are not padded.",
            code="unsupported_value",
            param="stream_options.include_obfuscation",
        )


def starting_after(text: str | None) -> int:
    """Read the number of the last event that a client has, from a query; none is -1."""
    return whole_text(text, "starting_after", -1, least=0, most=10**15)


def whole_text(text: str | None, name: str, default: int, *, least: int, most: int) -> int:
    """Read a whole number from a query."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise wrong(name, "a whole number")
    if not least <= int(text) <= most:
        raise wrong(name, f"from {least} to {most}")
    return int(text)


def word(query: Mapping[str, str], name: str, default: str, words: tuple[str, ...]) -> str:
    """Read one of several fixed values from a query."""
    value = query.get(name, default)
    if value not in words:
        raise wrong(name, "one of " + ", ".join(words))
    return value
