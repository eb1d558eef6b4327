"""Writes docs/settings.md from the declarations of the settings; `--check` only compares.

python -m scripts.settings [--check]
"""

import argparse
import sys
from pathlib import Path

from turnstream.cli.chat.settings import ChatSettings
from turnstream.cli.up_settings import UpSettings
from turnstream.turns.environment import PREFIX, RENAMED, Setting, declared
from turnstream.turns.settings import TurnSettings
from turnstream.workers.remote_settings import RemoteSettings
from turnstream.workers.settings import WorkerSettings
from turnstream.ws_server.connections.limits import ConnectionLimits
from turnstream.ws_server.page import PageSettings
from turnstream.ws_server.settings import ServerSettings, SocketLimits

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

#: A variable that several commands read stands in the first of its sections.
SECTIONS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("Nodes and workers", (TurnSettings,)),
    ("Front end", (ServerSettings, SocketLimits, ConnectionLimits, PageSettings)),
    ("Worker", (WorkerSettings, RemoteSettings)),
    ("`turnstream up`", (UpSettings,)),
    ("`turnstream chat` and `turnstream bulk`", (ChatSettings,)),
)

HEAD = """\
# Settings

Environment variables, read and checked once, at start; a bad one ends the process with an error
that names it. An option of the command line replaces the variable of its name: `--redis-url` is
`TURNSTREAM_REDIS_URL` (of `turnstream chat`, `--model` is `TURNSTREAM_CHAT_MODEL`). This page is
written by `python -m scripts.settings` from the declarations in the code.
"""


RENAMED_HEAD = """
## Renamed

A variable of an earlier version is an error at start that names the new one.

| was | is |
|---|---|
"""


def page() -> str:
    """Return the page as the declarations make it."""
    seen: set[str] = set()
    text = HEAD
    for title, classes in SECTIONS:
        text += f"\n## {title}\n\n| variable | default | meaning |\n|---|---|---|\n"
        for setting in (setting for cls in classes for _, setting in declared(cls)):
            if setting.name not in seen:
                seen.add(setting.name)
                text += f"| `{PREFIX}{setting.name}` | {shown(setting)} | {setting.meaning} |\n"
    text += RENAMED_HEAD
    for former, name in RENAMED.items():
        text += f"| `{PREFIX}{former}` | `{PREFIX}{name}` |\n"
    return text


def shown(setting: Setting) -> str:
    """Return a default as the page shows it."""
    return setting.shown or f"`{setting.default}`"


def main() -> int:
    """Write the page, or with `--check` report whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it differs")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print("docs/settings.md is not up to date: run python -m scripts.settings", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
