"""The settings of `turnstream chat` and `turnstream bulk`: the server, and how it is asked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from turnstream.client.address import Address
from turnstream.turns.environment import Setting, read_all, text


def _server_url(value: str) -> str:
    return Address(value).url


def read_temperature(value: str) -> float:
    """Read a temperature.

    Raises:
        ValueError: it is none; the text says what it must be.
    """
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 2:
        raise ValueError(f"must be a number from 0 to 2, not {value!r}")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """The server that `turnstream chat` and `turnstream bulk` use, and how they ask."""

    url: str = Setting(
        "URL",
        _server_url,
        "http://127.0.0.1:8000",
        "the server that `turnstream chat` and `turnstream bulk` use",
    ).field()
    key: str = Setting("KEY", text, "", "its API key", shown="none").field()
    #: Empty: the server's default.
    model: str = Setting(
        "CHAT_MODEL", text, "", "the model that they ask for", shown="the server's"
    ).field()
    #: Empty: the server's default.
    system: str = Setting(
        "CHAT_SYSTEM", text, "", "the system text of `turnstream chat`", shown="the server's"
    ).field()
    #: None: the model's default.
    temperature: float | None = Setting(
        "CHAT_TEMPERATURE",
        read_temperature,
        None,
        "the temperature of its answers",
        shown="the model's",
    ).field()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ChatSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        return cls(**read_all(cls, environ))

    @property
    def http_url(self) -> str:
        """The server's address without `/v1`."""
        return Address(self.url).http
