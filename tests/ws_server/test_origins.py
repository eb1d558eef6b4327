"""Which entries of TURNSTREAM_ORIGINS are origins, and which no page can match."""

import pytest

from turnstream.ws_server.origins import origins


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("https://chat.example", "https://chat.example"),
        ("http://LocalHost:5173", "http://localhost:5173"),
        ("HTTPS://Chat.Example:8443", "https://chat.example:8443"),
        ("https://chat.example:443", "https://chat.example"),
        ("http://chat.example:80", "http://chat.example"),
        ("http://chat.example:443", "http://chat.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        ("https://my_app.example", "https://my_app.example"),
        ("tauri://localhost", "tauri://localhost"),
        (
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        ),
        ("app://obsidian.md", "app://obsidian.md"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it_in_lower_case(entry: str, origin: str) -> None:
    assert origins(entry) == {origin}


def test_entries_are_separated_by_commas_or_spaces() -> None:
    assert origins("https://a.example, null\ntauri://localhost") == {
        "https://a.example",
        "null",
        "tauri://localhost",
    }


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("chat.example", "scheme://host"),
        ("localhost:5173", "scheme://host"),
        ("https://", "scheme://host"),
        ("tauri://", "scheme://host"),
        ("https://ann@chat.example", "scheme://host"),
        ("https://chat..example", "scheme://host"),
        ("https://chat.example/", "no path"),
        ("https://chat.example/app", "no path"),
        ("https://chat.example?x", "no path"),
        ("*", "scheme://host"),
        ("https://*.example.com", "no wildcards"),
        ("chrome-extension://*", "no wildcards"),
        ("wss://chat.example", "the page's own"),
        ("file://", "null"),
        ("https://münchen.example", "xn--"),
        ("https://chat.example:0", "1 to 65535"),
        ("https://chat.example:99999", "up to 65535"),
        ("https://chat.example:http", "up to 65535"),
        ("https://chat.example:", "1 to 65535"),
    ],
)
def test_an_entry_that_no_page_can_match_is_refused_with_the_reason(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        origins(f"https://fine.example {entry}")

    assert repr(entry) in str(refused.value)
