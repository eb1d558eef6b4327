"""The terminal client, in a terminal, against a server that does what it is told."""

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

from turnstream.cli.chat import ChatSettings

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


class Server:
    """Answers a turn with one slice and its end; "wait" gets its end only when it is cancelled."""

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
                case {"type": "response.create", "input": said}:
                    send(socket, {"type": "response.output_text.delta", "delta": f"<{said}>"})
                    if said != "wait":
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
    """A `turnstream chat` in a terminal of its own."""

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
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def expect(self, text: str) -> None:
        """Wait until a text appears, and forget what came before its end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 4096).decode(errors="replace")
        self.shown = self.shown.partition(text)[2]

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


def test_a_conversation_goes_on_from_the_answer_before(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    for said in ("one", "two"):
        terminal.expect("> ")
        terminal.type(f"{said}\n")
        terminal.expect(f"<{said}>")
    terminal.expect("> ")
    terminal.type("\x04")

    assert terminal.process.wait(PATIENCE_SECONDS) == 0
    assert server[0].keys == ["Bearer secret"]
    assert server[0].frames == [
        {"type": "response.create", "input": "one"},
        {"type": "response.create", "input": "two", "previous_response_id": "resp_1"},
    ]


def test_ctrl_c_stops_the_answer_and_not_the_conversation(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    terminal.expect("> ")
    terminal.type("wait\n")
    terminal.expect("<wait>")
    terminal.interrupt()
    terminal.expect("[stopped]")
    terminal.expect("> ")
    terminal.type("more\n")
    terminal.expect("<more>")

    assert server[0].frames[1:] == [
        {"type": "response.cancel"},
        {"type": "response.create", "input": "more", "previous_response_id": "resp_1"},
    ]


def test_an_error_is_shown_and_the_conversation_goes_on(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    terminal.expect("> ")
    terminal.type("bad\n")
    terminal.expect("[That was bad.]")
    terminal.expect("> ")
    terminal.type("good\n")
    terminal.expect("<good>")


def test_a_lost_connection_is_said_and_made_again(
    server: tuple[Server, str], terminal: Terminal
) -> None:
    terminal.expect("> ")
    terminal.type("one\n")
    terminal.expect("<one>")
    terminal.expect("> ")
    terminal.type("drop\n")
    terminal.expect("[the connection was lost]")
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
def test_the_socket_is_where_the_server_is(url: str, socket_url: str) -> None:
    assert ChatSettings(url=url, key="", model="").socket_url == socket_url
