"""Read fields of a query or of a batch's JSON; what is wrong becomes an error naming the field.

An explicit null counts as absent, since clients differ in what they leave out.
"""

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


def checked_text(value: object, param: str) -> str:
    """Check that a value is text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise wrong(param, "a string")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise wrong(param, "text without unpaired surrogates") from exc
    return value


def text(body: Body, name: str) -> str | None:
    """Read a text."""
    value = body.get(name)
    return None if value is None else checked_text(value, name)


def whole(body: Body, name: str, *, least: int, most: int) -> int | None:
    """Read a whole number within bounds."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(name, "a whole number")
    if not least <= value <= most:
        raise wrong(name, f"from {least} to {most}")
    return value


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


def word(body: Body, name: str, default: str, words: tuple[str, ...]) -> str:
    """Read one of several fixed values."""
    value = body.get(name)
    if value is None:
        return default
    if value not in words:
        raise wrong(name, "one of " + ", ".join(words))
    return str(value)


def metadata(body: Body) -> dict[str, str]:
    """Read the caller's metadata: at most 16, keys of 64 characters, values of 512."""
    value = body.get("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 16:
        raise wrong("metadata", "an object of at most 16 strings")
    for key, note in value.items():
        if len(checked_text(key, "metadata")) > 64:
            raise wrong("metadata", "an object whose keys have at most 64 characters")
        if len(checked_text(note, f"metadata.{key}")) > 512:
            raise wrong(f"metadata.{key}", "at most 512 characters long")
    return value
