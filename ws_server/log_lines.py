"""Write log lines that a client can't forge or colour: what it sent may be in them."""

import logging
import re

#: Control characters, the other line ends, and marks that turn text around on a screen.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class EscapingFormatter(logging.Formatter):
    """A formatter that escapes such characters, and indents each line of an entry but the first."""

    def format(self, record: logging.LogRecord) -> str:
        text = _UNSAFE.sub(_escaped, super().format(record))
        return text.replace("\n", "\n    ")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
