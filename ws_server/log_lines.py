"""Write log lines that a client can't break up or colour: what it sent may be in them."""

import logging
import re

#: Control characters, the other line ends, and marks that turn text around on a screen.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_UNSAFE_IN_LINE = re.compile(rf"[\t\n]|{_UNSAFE.pattern}")


class EscapingFormatter(logging.Formatter):
    """A formatter whose messages are one line each; tracebacks keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        record.message = _UNSAFE_IN_LINE.sub(_escaped, record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return _UNSAFE.sub(_escaped, super().format(record))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
