"""Each setting is declared once: reading, defaults and docs/settings.md follow from it."""

import re
from pathlib import Path

import pytest

from scripts import settings as settings_page
from turnstream.cli.chat.settings import ChatSettings
from turnstream.cli.up_settings import UpSettings
from turnstream.turns.environment import PREFIX, RENAMED, Setting, SettingError, declared
from turnstream.turns.settings import TurnSettings
from turnstream.workers.remote_settings import RemoteSettings
from turnstream.workers.settings import WorkerSettings
from turnstream.ws_server.connections.limits import ConnectionLimits
from turnstream.ws_server.page import PageSettings
from turnstream.ws_server.settings import ServerSettings, SocketLimits

ROOT = Path(__file__).parents[1]
CLASSES = (
    TurnSettings,
    ServerSettings,
    SocketLimits,
    ConnectionLimits,
    PageSettings,
    WorkerSettings,
    RemoteSettings,
    UpSettings,
    ChatSettings,
)
SETTINGS = {setting.name: setting for cls in CLASSES for _, setting in declared(cls)}


def test_every_variable_that_the_code_names_is_declared() -> None:
    rooms = ("cli", "client", "prompts", "turns", "workers", "ws_server")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    named = {name.rstrip("_") for name in re.findall(rf"{PREFIX}([A-Z_]+)", text)}

    assert len(SETTINGS) > 30
    assert named - {""} <= set(SETTINGS)


def test_the_page_is_as_the_declarations_make_it() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page()
    assert set(
        re.findall(rf"^\| `{PREFIX}(\w+)` \| .+ \| .+ \|$", settings_page.page(), re.M)
    ) == set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_a_default_on_the_page_is_accepted_as_a_value_and_means_the_same(setting: Setting) -> None:
    literal = re.fullmatch(r"`(.+)`", settings_page.shown(setting))
    if literal is not None and setting.default not in (None, ""):
        assert setting.read({PREFIX + setting.name: literal[1]}) == setting.default


@pytest.mark.parametrize("former", RENAMED)
def test_a_variable_of_an_earlier_version_is_an_error_that_names_the_new_one(former: str) -> None:
    assert RENAMED[former] in SETTINGS
    with pytest.raises(
        SettingError, match=f"^{PREFIX}{former} is now called {PREFIX}{RENAMED[former]}$"
    ):
        TurnSettings.read({PREFIX + former: "8"})
