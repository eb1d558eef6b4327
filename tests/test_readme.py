"""The README says what is true of the tree: its settings table, its examples and its links."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from turnstream.cli.chat import ChatSettings
from turnstream.cli.up import UpSettings
from turnstream.turns import environment
from turnstream.workers.settings import WorkerSettings
from turnstream.ws_server.settings import ServerSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = ("cli", "prompts", "turns", "workers", "ws_server")
READERS = ("text", "choice", "whole", "seconds")
#: Everything that reads settings; those of `turns` are part of the workers' and the servers'.
SETTINGS = (ChatSettings, ServerSettings, UpSettings, WorkerSettings)

#: Variable and default of each row of the settings table.
TABLE = dict(re.findall(r"^\| `(TURNSTREAM_\w+)` \| (.+?) \|", README, re.MULTILINE))


def names_read(source: str) -> Iterator[str]:
    """Give the names that a module hands to the readers in `turns.environment`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=reader) | ast.Name(id=reader),
                args=[ast.Name(id="environ"), ast.Constant(value=str(name)), *_],
            ) if reader in READERS:
                yield environment.PREFIX + name


def test_the_settings_table_has_every_variable_that_is_read_and_no_other() -> None:
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]

    read = {name for file in files for name in names_read(file.read_text(encoding="utf-8"))}

    assert len(read) > 20
    assert set(TABLE) == read


@pytest.mark.parametrize("variable", sorted(TABLE))
def test_a_default_in_the_settings_table_is_what_happens_without_the_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    literal = re.fullmatch(r"`(.+)`", TABLE[variable])
    if literal is None:
        assert "`" not in TABLE[variable]
        return

    for settings in SETTINGS:
        if variable == "TURNSTREAM_REDIS_URL" and settings is UpSettings:
            continue  # not set means one of its own, as the row says
        assert read(settings, {variable: literal[1]}) == read(settings, {}), settings


def read(settings: type, environ: Mapping[str, str]) -> object:
    return settings.read(environ)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("language", "comment", "example"),
    [("python", '"""', "first_turn.py"), ("js", "//", "first_turn.mjs")],
)
def test_an_example_in_the_readme_is_the_file_beside_it(
    language: str, comment: str, example: str
) -> None:
    [block] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)

    first, rest = (ROOT / "examples" / example).read_text(encoding="utf-8").split("\n", 1)

    assert first.startswith(comment)
    assert block == rest.lstrip("\n")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
def test_every_link_leads_somewhere(page: str | Path) -> None:
    file = ROOT / page
    text = file.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text)

    for link in map("".join, links):
        if not link.startswith(("http", "#")):
            assert (file.parent / link.split("#")[0]).exists(), link
