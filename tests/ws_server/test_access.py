"""Which API keys and origins are accepted, and which owner a key belongs to."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from turnstream.turns.api_key import ApiKey
from turnstream.turns.environment import SettingError
from turnstream.ws_server.access import Access
from turnstream.ws_server.request_errors import Forbidden, TooManyWrongKeys, Unauthorized
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.visitor import Visitor

KEY = "sk-ann"
KEYS = "ann:" + hashlib.sha256(KEY.encode()).hexdigest()


class NoStoredKeys:
    """No key was made at run time."""

    async def find(self, digests: Sequence[str]) -> list[ApiKey | None]:
        return [None for _ in digests]

    async def note_use(self, id: str) -> None: ...


def access_of(environ: dict[str, str]) -> Callable[[HTTPConnection], Visitor]:
    settings = ServerSettings.read({f"TURNSTREAM_{k}": v for k, v in environ.items()})
    access = Access(settings, NoStoredKeys())
    return lambda connection: asyncio.run(access.admit(connection))


def admit(environ: dict[str, str], **headers: str) -> Visitor:
    headers = {"host": "127.0.0.1:8000"} | headers
    scope: dict[str, Any] = {
        "type": "http",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }
    return access_of(environ)(HTTPConnection(scope))


def test_without_keys_all_local_clients_are_one_owner() -> None:
    assert admit({}).owner == admit({}, authorization="Bearer x").owner == "local"


def test_a_key_identifies_its_owner() -> None:
    assert admit({"API_KEYS": KEYS}, authorization=f"Bearer {KEY}").owner == "ann"


def test_a_browsers_key_is_a_subprotocol_that_is_not_echoed() -> None:
    offered = f"openai-insecure-api-key.{KEY}, responses"

    visitor = admit({"API_KEYS": KEYS}, sec_websocket_protocol=offered)

    assert (visitor.owner, visitor.subprotocol) == ("ann", "responses")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {KEY}"},
        {"sec_websocket_protocol": "openai-insecure-api-key."},
        {"authorization": "Bearer " + hashlib.sha256(KEY.encode()).hexdigest()},
    ],
)
def test_a_wrong_key_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        admit({"API_KEYS": KEYS}, **headers)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8001", "http://127.0.0.1:8000.evil.example"],
)
def test_a_page_of_another_host_is_refused(origin: str) -> None:
    with pytest.raises(Forbidden):
        admit({}, origin=origin)


def test_a_page_of_the_same_host_and_a_listed_one_are_admitted() -> None:
    admit({}, origin="http://127.0.0.1:8000")
    admit({"ORIGINS": "https://chat.example"}, origin="https://chat.example")


def test_only_a_client_that_is_no_browser_may_leave_its_host_out() -> None:
    access = access_of({})
    old: dict[str, Any] = {"type": "http", "headers": []}
    page: dict[str, Any] = {"type": "http", "headers": [(b"origin", b"null")]}

    assert access(HTTPConnection(old)).owner == "local"
    with pytest.raises(Forbidden):
        access(HTTPConnection(page))


@pytest.mark.parametrize("host", ["evil@127.0.0.1", "[", "127.0.0.1@evil.example", "[::1"])
def test_without_keys_a_host_that_is_not_one_is_refused(host: str) -> None:
    with pytest.raises(Forbidden):
        admit({}, host=host)


@pytest.mark.parametrize("origin", ["http://[", "http://]:x"])
def test_an_origin_that_is_not_one_is_refused(origin: str) -> None:
    with pytest.raises(Forbidden):
        admit({}, origin=origin)


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_a_key_beyond_ascii_is_accepted_in_both_codings_of_headers(coding: str) -> None:
    key = "sk-Ärger"
    keys = "ann:" + hashlib.sha256(key.encode()).hexdigest()
    # As a server hands over the bytes of a header: read as Latin-1.
    sent = key.encode(coding).decode("latin-1")
    scope = {
        "type": "http",
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {sent}".encode("latin-1"))],
    }
    access = access_of({"API_KEYS": keys})

    assert access(HTTPConnection(scope)).owner == "ann"


def test_an_address_that_guesses_keys_is_told_to_wait_and_a_used_key_goes_on() -> None:
    access = access_of({"API_KEYS": KEYS, "WRONG_KEYS_PER_MINUTE": "3"})

    def admit_from(address: str, key: str) -> str:
        headers = [(b"host", b"x"), (b"authorization", f"Bearer {key}".encode())]
        scope = {"type": "http", "headers": headers, "address": address}
        return access(HTTPConnection(scope)).owner

    admit_from("a", KEY)
    for number in range(3):
        with pytest.raises(Unauthorized):
            admit_from("a", f"guess {number}")
    with pytest.raises(TooManyWrongKeys):
        admit_from("a", "guess")

    assert admit_from("a", KEY) == admit_from("b", KEY) == "ann"


def test_without_keys_another_host_name_is_refused() -> None:
    with pytest.raises(Forbidden):
        admit({}, host="evil.example:8000", origin="http://evil.example:8000")
    admit({"API_KEYS": KEYS}, host="chat.example", authorization=f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"HOST": "0.0.0.0"}, "API_KEYS must be set to serve on 0.0.0.0"),
        ({"HOST": "example.org"}, "API_KEYS must be set to serve on example.org"),
        ({"API_KEYS": "ann:sk-plain"}, "API_KEYS must be a list of OWNER:SHA256-OF-KEY"),
        ({"ORIGINS": "chat.example"}, "ORIGINS has an entry that no page can match"),
        ({"PORT": "http"}, "PORT must be a whole number"),
    ],
)
def test_a_bad_setting_is_named_at_start(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        ServerSettings.read({f"TURNSTREAM_{k}": v for k, v in environ.items()})


def test_a_key_given_plainly_by_mistake_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SettingError) as refused:
        ServerSettings.read({"TURNSTREAM_API_KEYS": "ann:sk-plain"})

    assert "sk-plain" not in str(refused.value)


async def test_a_burst_of_guesses_is_counted_before_all_of_it_is_looked_up() -> None:
    settings = {"TURNSTREAM_API_KEYS": KEYS, "TURNSTREAM_WRONG_KEYS_PER_MINUTE": "3"}
    looked_up = 0

    class SlowKeys(NoStoredKeys):
        async def find(self, digests: Sequence[str]) -> list[ApiKey | None]:
            nonlocal looked_up
            looked_up += 1
            await asyncio.sleep(0)
            return await super().find(digests)

    access = Access(ServerSettings.read(settings), SlowKeys())
    guesses = (access.identify(f"guess {number}", "a") for number in range(50))
    refused = await asyncio.gather(*guesses, return_exceptions=True)

    assert looked_up == 3
    assert sum(isinstance(each, TooManyWrongKeys) for each in refused) == 47


def test_keys_made_at_run_time_allow_every_address_too() -> None:
    environ = {"TURNSTREAM_HOST": "0.0.0.0", "TURNSTREAM_REQUIRE_KEY": "yes"}

    assert ServerSettings.read(environ).needs_key
    with pytest.raises(Unauthorized):
        admit({"REQUIRE_KEY": "yes"})


def test_with_keys_every_address_can_be_served() -> None:
    environ = {"TURNSTREAM_HOST": "0.0.0.0", "TURNSTREAM_API_KEYS": KEYS}

    assert ServerSettings.read(environ).api_keys == {KEYS[4:]: "ann"}
