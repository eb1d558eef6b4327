"""Runs `turnstream chat` in a pseudo-terminal, with conversations of its own."""

import os
import sys
from pathlib import Path

from harness.service import ROOT
from harness.terminal import Terminal

PROMPT = "❯"


def chat(url: str, folder: Path, *arguments: str, term: str = "xterm-256color") -> Terminal:
    """Start it; its conversations and its history are in `folder`."""
    kept = {name: value for name, value in os.environ.items() if "TURNSTREAM" not in name}
    environ = kept | {
        "PYTHONPATH": str(ROOT),
        "TERM": term,
        "TURNSTREAM_CHAT_TEMPERATURE": "0",
        "XDG_DATA_HOME": str(folder),
    }
    command = (sys.executable, "-P", "-m", "turnstream", "chat", "--url", url, *arguments)
    return Terminal(command, environ=environ)


def words(text: str) -> str:
    """Return a text without its line ends, which a terminal sets elsewhere."""
    return " ".join(text.split())
