"""Whose `X-Forwarded-Prefix` is believed, and what becomes of a path."""

from typing import Any

import pytest

from turnstream.turns.environment import SettingError
from turnstream.ws_server.connections.proxies import networks
from turnstream.ws_server.prefix import Prefix
from turnstream.ws_server.settings import ServerSettings


async def routed(
    path: str, *, client: str = "127.0.0.1", forwarded: str = "", root_path: str = ""
) -> tuple[str, str]:
    """Give root path and path as the routes see them."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    headers = [(b"x-forwarded-prefix", forwarded.encode())] if forwarded else []
    scope = {"type": "websocket", "path": path, "headers": headers, "client": (client, 5)}
    trusted = networks("127.0.0.1, ::1 10.0.0.0/8")
    await Prefix(app, root_path=root_path, trusted=trusted)(scope, None, None)  # type: ignore[arg-type]
    return seen["root_path"], seen["path"]


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3"])
async def test_a_trusted_proxy_says_below_which_path_it_serves(client: str) -> None:
    for path in ("/v1/models", "/llm/v1/models", "/llm/v1/models/"):
        seen = await routed(path, client=client, forwarded="/llm/")
        assert seen == ("/llm", "/llm/v1/models")


@pytest.mark.parametrize("client", ["192.0.2.1", "2001:db8::1", "testclient", ""])
async def test_nobody_else_can_say_so(client: str) -> None:
    assert await routed("/v1/models", client=client, forwarded="/llm") == ("", "/v1/models")
    set_path = await routed("/v1/models", client=client, forwarded="/llm", root_path="/chat")
    assert set_path == ("/chat", "/chat/v1/models")


async def test_only_a_whole_part_of_a_path_is_the_prefix() -> None:
    assert await routed("/llmv1/models", root_path="/llm") == ("/llm", "/llm/llmv1/models")
    assert await routed("/llm/", root_path="/llm") == ("/llm", "/llm/")
    assert await routed("/", root_path="/llm") == ("/llm", "/llm/")
    assert await routed("//", root_path="") == ("", "/")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ROOT_PATH", "llm", "must be a path such as /llm"),
        ("ROOT_PATH", "/a b", "must be a path such as /llm"),
        ("ROOT_PATH", "https://example.com/llm", "must be a path such as /llm"),
        ("TRUSTED_PROXIES", "proxy.example", "must be a list of IP addresses or networks"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "must be a list of IP addresses or networks"),
        ("MAX_BODY_BYTES", "8MB", "must be a whole number"),
        ("KEEP_ALIVE_SECONDS", "0", "must be from 1"),
    ],
)
def test_a_bad_setting_is_named_at_start(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingError, match=f"{name} {problem}"):
        ServerSettings.read({f"TURNSTREAM_{name}": value})


def test_a_slash_is_no_root_path_and_a_star_trusts_everybody() -> None:
    settings = ServerSettings.read({"TURNSTREAM_ROOT_PATH": "/", "TURNSTREAM_TRUSTED_PROXIES": "*"})

    assert settings.root_path == ""
    assert [str(each) for each in settings.trusted_proxies] == ["0.0.0.0/0", "::/0"]
