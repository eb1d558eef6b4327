"""Reads a history as each endpoint does; tests of histories run with both."""

from typing import Any

import pytest

from turnstream.turns.turn import Item, Message
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import read_create

HI = {"role": "user", "content": "Hi"}
ASKED = Message("user", "Hi")


def chat(*messages: Any, **fields: Any) -> tuple[Item, ...]:
    return read_chat({"messages": list(messages)} | fields).create.messages


def responses(*items: Any, **fields: Any) -> tuple[Item, ...]:
    return read_create({"input": list(items)} | fields).messages


READERS = pytest.mark.parametrize("read", [chat, responses])
