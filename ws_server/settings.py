"""What the front end is told from outside, read once at its start."""

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from turns import environment
from turns.environment import SettingError
from turns.settings import TurnSettings

_KEY = re.compile(r"([A-Za-z0-9_.-]{1,64}):([0-9a-fA-F]{64})")
_ORIGIN = re.compile(r"https?://[^/\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of the `ws_server` room."""

    turns: TurnSettings
    host: str
    port: int
    #: Name of this process among all front ends; its events come on a channel of this name.
    node: str
    #: The model that a request without one gets, as the workers' setting names it.
    model: str
    #: Owner by SHA-256 of the key, in lower-case hex. Empty: any key, loopback only.
    api_keys: Mapping[str, str]
    #: Pages on other hosts that may connect, as `scheme://host[:port]`.
    origins: frozenset[str]

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "ServerSettings":
        """Read and check them all.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        port = environment.whole(environ, "PORT", 8000, least=1, most=65535)
        settings = cls(
            turns=TurnSettings.read(environ),
            host=environment.text(environ, "HOST", "127.0.0.1"),
            port=port,
            node=environment.text(environ, "NODE", f"{socket.gethostname()}:{port}"),
            model=environment.text(environ, "MODEL", "demo"),
            api_keys=_api_keys(environment.text(environ, "API_KEYS", "")),
            origins=_origins(environment.text(environ, "ORIGINS", "")),
        )
        if not settings.api_keys and not settings.is_loopback:
            raise SettingError(
                "API_KEYS", f"must be set to serve on {settings.host}: without keys only loopback"
            )
        return settings


def _api_keys(text: str) -> dict[str, str]:
    keys = {}
    for entry in text.replace(",", " ").split():
        match = _KEY.fullmatch(entry)
        if match is None:
            # Not echoed: it may be the key itself.
            raise SettingError("API_KEYS", "must be a list of OWNER:SHA256-OF-KEY, in hex")
        keys[match[2].lower()] = match[1]
    return keys


def _origins(text: str) -> frozenset[str]:
    entries = text.replace(",", " ").split()
    for entry in entries:
        if not _ORIGIN.fullmatch(entry):
            raise SettingError("ORIGINS", f"must be a list of scheme://host[:port], not {entry!r}")
    return frozenset(entry.lower() for entry in entries)
