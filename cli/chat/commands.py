"""What can be typed beside messages: a line that begins with `/` and a word."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command, as `/help` lists it."""

    name: str
    argument: str
    meaning: str


COMMANDS = (
    Command("help", "", "this list"),
    Command("new", "", "begin another conversation"),
    Command("list", "", "the latest conversations, this one among them"),
    Command("open", "[N|ID]", "go on with one of the list (the latest), or from a response's id"),
    Command("regenerate", "", "answer the last question again"),
    Command("edit", "", "change the last question and ask it again"),
    Command("system", "[TEXT|default]", "show or set the system text"),
    Command("model", "[NAME]", "show the models, or choose one"),
    Command("temperature", "[0-2|default]", "show or set the temperature"),
    Command("save", "[FILE]", "write the conversation as Markdown"),
    Command("copy", "", "copy the last answer"),
    Command("quit", "", "leave; Ctrl-D does the same"),
)
KEYS = (
    ("Enter", "send"),
    ("Alt-Enter", "a new line; pasted lines stay together"),
    ("Up, Ctrl-R", "what was typed before"),
    ("Enter, while an answer is written", "say more: it goes on with that"),
    ("Ctrl-C", "stop the answer; twice: leave"),
)
NAMES = [f"/{command.name}" for command in COMMANDS]

_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command that was typed."""

    name: str
    argument: str


def read_line(text: str) -> Typed | str:
    """Return the command that a text is, or the message: `//` at its start stands for `/`."""
    if text.startswith("//"):
        return text[1:]
    match = _COMMAND.fullmatch(text)
    if match is None:
        return text
    return Typed(match[1], (match[2] or "").strip())
