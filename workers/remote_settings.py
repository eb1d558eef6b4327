"""Settings of the engine `remote`: which servers compute, and how many turns each gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from turnstream.turns.environment import Setting, SettingError, read_all, seconds, text, whole


def _urls(value: str) -> tuple[str, ...]:
    """Accept base URLs, with or without the `/v1` that clients of OpenAI's API have."""
    urls = [each.strip().rstrip("/").removesuffix("/v1") for each in value.split(",")]
    for url in filter(None, urls):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be URLs that begin with http:// or https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must be URLs without a user, a query and a fragment")
    return tuple(dict.fromkeys(filter(None, urls)))


def _keys(value: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in value.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """Which vLLM servers answer, and how."""

    urls: tuple[str, ...] = Setting(
        "REMOTE_URLS",
        _urls,
        (),
        "with the engine `remote`: the base URLs of vLLM's servers, separated by commas",
        shown="none",
    ).field()
    #: One for all servers, or one for each.
    keys: tuple[str, ...] = Setting(
        "REMOTE_API_KEYS",
        _keys,
        (),
        "the API key of these servers; or one for each of them, separated by commas",
        shown="none",
    ).field()
    model: str = Setting(
        "REMOTE_MODEL",
        text,
        "",
        "what the servers call the model",
        shown="the name of ours if they have one of that name, or else the only model that is no"
        " adapter",
    ).field()
    concurrency: int = Setting(
        "REMOTE_CONCURRENCY",
        whole(1, 4096),
        64,
        "turns that a worker has at one server at the same time",
    ).field()
    timeout: float = Setting(
        "REMOTE_TIMEOUT",
        seconds(1.0),
        120.0,
        "how long a turn waits for a server's next token before it goes on at another one, and how"
        " long no server may answer before other workers get the turns",
    ).field()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "RemoteSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        settings = cls(**read_all(cls, environ))
        if len(settings.keys) not in (0, 1, len(settings.urls)):
            problem = f"must be one key or {len(settings.urls)}, one for each server"
            raise SettingError("REMOTE_API_KEYS", problem)
        return settings

    @property
    def servers(self) -> tuple[tuple[str, str], ...]:
        """Each server's URL and key."""
        keys = self.keys or ("",)
        return tuple(zip(self.urls, keys * (len(self.urls) // len(keys)), strict=True))
