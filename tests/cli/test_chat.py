"""The terminal client, in a pseudo-terminal, against a scripted server."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from turnstream.cli.chat.settings import ChatSettings

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 20.0


class Server:
    """Answers a turn with one slice and its end; the turn "wait" ends only when it is cancelled."""

    def __init__(self) -> None:
        self.frames: list[dict] = []
        self.keys: list[str | None] = []

    def __call__(self, socket: ServerConnection) -> None:
        self.keys.append(socket.request.headers.get("Authorization"))
        for frame in map(json.loads, socket):
            self.frames.append(frame)
            id = f"resp_{sum(f['type'] == 'response.create' for f in self.frames)}"
            match frame:
                case {"input": "bad"}:
                    error = {"code": "invalid_value", "message": "That was bad."}
                    send(socket, {"type": "error", "error": error})
                case {"input": "drop"}:
                    socket.close(1012)
                case {"type": "response.create", "input": text}:
                    send(socket, {"type": "response.output_text.delta", "delta": f"<{text}>"})
                    if text != "wait":
                        end(socket, "response.completed", id, "completed")
                case {"type": "response.cancel"}:
                    end(socket, "response.incomplete", id, "cancelled")


def send(socket: ServerConnection, event: dict) -> None:
    socket.send(json.dumps(event))


def end(socket: ServerConnection, kind: str, id: str, status: str) -> None:
    response = {"id": id, "status": status, "error": None, "incomplete_details": None}
    send(socket, {"type": kind, "response": response})


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    handler = Server()
    with serve(handler, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{listening.socket.getsockname()[1]}"
        listening.shutdown()
        thread.join()


class Terminal:
    """A `turnstream chat` in a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "turnstream", "chat", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env=os.environ | {"TERM": "dumb"},
            start_new_session=True,
        )
        os.close(slave)
        self.output = ""

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def expect(self, text: str) -> None:
        """Wait until a text appears, and discard the output up to its end."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self.master], [], [], 0.1)[0]:
                self.output += os.read(self.master, 4096).decode(errors="replace")
        self.output = self.output.partition(text)[2]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(server: tuple[Server, str]) -> Iterator[Terminal]:
    terminal = Terminal("--url", server[1], "--key", "secret")
    yield terminal
    terminal.close()


def test_a_question_continues_from_the_previous_response(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    for text in ("one", "two"):
        terminal.expect("> ")
        terminal.type(f"{text}\n")
        terminal.expect(f"<{text}>")
    terminal.expect("> ")
    terminal.type("\x04")

    assert terminal.process.wait(TIMEOUT_SECONDS) == 0
    assert server[0].keys == ["Bearer secret"]
    assert server[0].frames == [
        {"type": "response.create", "input": "one"},
        {"type": "response.create", "input": "two", "previous_response_id": "resp_1"},
    ]


def test_ctrl_c_cancels_the_response_and_not_the_conversation(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    terminal.expect("> ")
    terminal.type("wait\n")
    terminal.expect("<wait>")
    terminal.interrupt()
    terminal.expect("[cancelled]")
    terminal.expect("> ")
    terminal.type("more\n")
    terminal.expect("<more>")

    assert server[0].frames[1:] == [
        {"type": "response.cancel"},
        {"type": "response.create", "input": "more", "previous_response_id": "resp_1"},
    ]


def test_after_an_error_the_conversation_continues(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    terminal.expect("> ")
    terminal.type("bad\n")
    terminal.expect("[That was bad.]")
    terminal.expect("> ")
    terminal.type("good\n")
    terminal.expect("<good>")


def test_a_lost_connection_is_reported_and_reopened(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    terminal.expect("> ")
    terminal.type("one\n")
    terminal.expect("<one>")
    terminal.expect("> ")
    terminal.type("drop\n")
    terminal.expect("[the connection was lost; please ask again]")
    terminal.expect("> ")
    terminal.type("two\n")
    terminal.expect("<two>")

    assert server[0].frames[-1]["previous_response_id"] == "resp_1"


@pytest.mark.parametrize(
    ("url", "socket_url"),
    [
        ("http://host:8000", "ws://host:8000/v1/responses"),
        ("https://host/v1/", "wss://host/v1/responses"),
        ("https://host/chat", "wss://host/chat/v1/responses"),
    ],
)
def test_the_url_of_the_socket_follows_from_that_of_the_server(url: str, socket_url: str) -> None:
    assert ChatSettings(url=url, key="", model="").socket_url == socket_url
