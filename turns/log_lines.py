"""Writes log lines, as text or as JSON, that nobody can forge or colour by what they sent.

A line about a turn has its id and more in `extra`, which text leaves out where the message has it.
"""

import json
import logging
import re
import time
import traceback
from collections.abc import Mapping

from turnstream.turns.environment import Setting, choice

LOG = Setting(
    "LOG",
    choice("text", "json"),
    "text",
    "form of the lines that are logged: `text`, or `json`, one object a line, also for each turn",
)
#: What a line may say of a turn or a request, in this order.
ABOUT = ("turn_id", "attempt", "model", "worker", "node", "request_id")
#: Control characters, the other line ends, and marks that turn text around on a screen.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class EscapingFormatter(logging.Formatter):
    """A formatter that escapes such characters, and indents each line of an entry but the first."""

    def format(self, record: logging.LogRecord) -> str:
        text = _UNSAFE.sub(_escaped, super().format(record))
        return text.replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """A formatter whose entries are JSON objects, each on one line of ASCII.

    Args:
        process: what each line says of this process, such as `node` or `worker`.
    """

    def __init__(self, process: Mapping[str, str]) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ABOUT:
            if (value := getattr(record, name, "") or self._process.get(name)) not in ("", None):
                entry[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = _stack(record.exc_info[1])
            if not _is_about_somebody(record):
                entry["exception_message"] = str(record.exc_info[1])
        return json.dumps(entry)


def configure(form: str, text_format: str, **process: str) -> None:
    """Let everything that is logged in this process be written to stderr, as text or as JSON."""
    handler = logging.StreamHandler()
    json_lines = form == "json"
    handler.setFormatter(JsonFormatter(process) if json_lines else EscapingFormatter(text_format))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if json_lines:
        # Celery lets only warnings pass, once it runs: a person would rather not read two lines for
        # each turn.
        logging.getLogger("turnstream").setLevel(logging.INFO)


def utc(seconds: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 has it, in milliseconds."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"


def _is_about_somebody(record: logging.LogRecord) -> bool:
    # The text of an exception may repeat what was said.
    return hasattr(record, "turn_id") or hasattr(record, "request_id")


def _stack(exc: BaseException) -> list[str]:
    """Return the kinds of an exception and of its causes, first causes first, and their places."""
    cause = exc.__cause__ or exc.__context__
    frames = traceback.extract_tb(exc.__traceback__)
    at = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    kind = f"{type(exc).__module__}.{type(exc).__qualname__}"
    return [*(_stack(cause) if cause else ()), kind, *at]


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
