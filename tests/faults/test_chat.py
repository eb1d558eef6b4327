"""`turnstream chat` through lost connections: the answer goes on, each word once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.proxy import Proxy
from harness.terminal import Terminal
from tests.chat_terminal import PROMPT, chat, words
from tests.faults.conftest import Question

STORY = "Tell me a story about a cat."


def until(terminal: Terminal, text: str) -> "asyncio.Future[None]":
    """Wait for a text without keeping the proxy from its work."""
    return asyncio.ensure_future(asyncio.to_thread(terminal.expect, text))


@pytest.mark.long
async def test_an_answer_is_shown_whole_although_connections_are_lost(
    proxy: Proxy, undisturbed: Callable[[Question], str], tmp_path: Path
) -> None:
    expected = undisturbed({"input": STORY, "temperature": 0})
    with chat(f"http://127.0.0.1:{proxy.port}", tmp_path) as terminal:
        await until(terminal, "/help")
        await asyncio.to_thread(terminal.type, f"{STORY}\r")
        await until(terminal, "cat who lived")
        proxy.cut()
        await until(terminal, "One night")
        proxy.refusing = True
        proxy.cut()
        await until(terminal, "the connection is lost; reconnecting")
        proxy.refusing = False
        await until(terminal, words(expected).split()[-1])
        await asyncio.to_thread(terminal.expect_at_cursor, PROMPT)

    assert words(terminal.screen.text).count(words(expected)) == 1
    assert "reconnecting" not in terminal.screen.text
