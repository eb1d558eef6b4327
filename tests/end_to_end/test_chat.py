"""`turnstream chat` in a pseudo-terminal, and in a pipe, against the service."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.reader import text_of
from harness.record import fetch
from harness.service import ROOT, Service
from tests.chat_terminal import PROMPT, chat, words

FILM, STORY = "Do you know the Titanic movie?", "write a long story"


def piped(
    service: Service, message: bytes, *arguments: str, **environ: str
) -> "subprocess.CompletedProcess[str]":
    ended = subprocess.run(
        [sys.executable, "-m", "turnstream", "chat", "--url", service.url, *arguments],
        input=message,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"TURNSTREAM_CHAT_TEMPERATURE": "0"} | environ,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
    )


def test_a_conversation_goes_on_and_is_picked_up_by_the_next_process(
    service: Service, tmp_path: Path
) -> None:
    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        terminal.type(f"{FILM}\r")
        terminal.expect("iceberg.")
        terminal.type("\x04")
        assert terminal.wait() == 0

    with chat(service.url, tmp_path, "--continue") as terminal:
        terminal.expect("iceberg.")
        terminal.type("Who is the director?\r")
        terminal.expect("Cameron")
        terminal.type("/quit\r")
        assert terminal.wait() == 0

    with chat(service.url, tmp_path) as terminal:
        terminal.expect(f"/open goes on with “{FILM}”")
        terminal.type("/open\r")
        terminal.expect("Cameron")
        terminal.type("/list\r")
        terminal.expect(f"1  ● {FILM}")


def test_ctrl_c_stops_the_answer_and_twice_leaves(service: Service, tmp_path: Path) -> None:
    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        terminal.type(f"{STORY}\r")
        terminal.expect("lighthouse")
        terminal.type("\x03")
        terminal.expect("The answer was stopped.")
        terminal.expect_at_cursor(PROMPT)
        terminal.type("a line that is dropped")
        terminal.expect("dropped")
        terminal.type("\x03")
        terminal.type(f"{FILM}\r")
        terminal.expect("iceberg.")
        # Before that it would stop the answer, which need not have ended.
        terminal.expect_at_cursor(PROMPT)
        terminal.type("\x03")
        terminal.expect("Ctrl-C again leaves")
        terminal.type("\x03")

        assert terminal.wait() == 130
    assert "Once upon a time there was a lighthouse" in words(terminal.screen.text)


def test_what_is_typed_while_an_answer_is_written_steers_it(
    service: Service, tmp_path: Path
) -> None:
    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        terminal.type(f"{STORY}\r")
        terminal.expect("lighthouse")
        terminal.type(f"{FILM}x\x7f")
        terminal.expect(f"{PROMPT} {FILM}")
        terminal.type("\r/save talk.md")
        terminal.expect("iceberg.")
        terminal.expect_at_cursor(f"{PROMPT} /save talk.md")
        terminal.type(f"\x15/save {tmp_path}/talk.md\r")
        terminal.expect("Saved")

    story, _, film = (tmp_path / "talk.md").read_text(encoding="utf-8").partition(f"> {FILM}")
    assert "Once upon a time there was a lighthouse" in words(story)
    assert "iceberg." in film
    shown = words(terminal.screen.text)
    assert shown.count(FILM) == 1
    assert shown.index("lighthouse") < shown.index(FILM) < shown.index("iceberg.")


@pytest.mark.long
def test_an_answer_goes_on_after_its_terminal_was_killed(service: Service, tmp_path: Path) -> None:
    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        terminal.type(f"{STORY}\r")
        terminal.expect("lighthouse")
        terminal.process.send_signal(signal.SIGKILL)

    with chat(service.url, tmp_path, "-c") as terminal:
        terminal.expect_at_cursor(PROMPT)
        saved = json.loads((tmp_path / "turnstream" / "chat" / "conversations.json").read_text())
        expected = text_of(service.get(f"/v1/responses/{saved[0]['last']}"))

        assert words(expected) in words(terminal.screen.text)
        # Nothing that was shown was replaced by another text.
        assert terminal.screen.rewritten < len(expected)


@pytest.mark.long
def test_pasted_lines_are_one_message(service: Service, tmp_path: Path) -> None:
    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        terminal.type("\x1b[200~What is the capital\nof France?\x1b[201~")
        terminal.expect("of France?")
        terminal.type("\r")
        terminal.expect("Paris")
        terminal.type(f"/save {tmp_path}/asked.md\r")
        terminal.expect("Saved")

    saved = (tmp_path / "asked.md").read_text(encoding="utf-8")
    assert "> What is the capital\n> of France?\n\nThe capital" in saved


def test_commands_change_what_is_asked(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        for line, shown in (
            ("/help", "what was typed before"),
            ("/dance", "There is no /dance"),
            ("/copy", "There is no answer yet"),
            ("/temperature 3", "must be a number from 0 to 2"),
            ("/temperature 0", "Temperature: 0"),
            ("/model no-such", "No model is called no-such"),
            ("/system Answer in capital letters.", "System text: Answer in capital"),
            (FILM, "TITANIC"),
            ("/system default", "System text: the server's default"),
            ("/regenerate", "Yes, I know Titanic."),
            ("/copy", "clipboard"),
            ("/save talk.md", "Saved as talk.md"),
            ("/save talk.md", "talk.md: File exists"),
        ):
            terminal.type(f"{line}\r")
            terminal.expect(shown)
            terminal.expect_at_cursor(PROMPT)
        terminal.type("/edit\r")
        terminal.expect(f"{PROMPT} {FILM}")
        terminal.type("\x15What is the capital of France?\r")
        terminal.expect("Paris")
        terminal.type("/save edited.md\r")
        terminal.expect("Saved as edited.md")

    saved = (tmp_path / "talk.md").read_text(encoding="utf-8")
    assert saved.startswith(f"# {FILM}\n\n> {FILM}\n\nYes, I know Titanic.")
    assert "TITANIC" not in saved
    assert base64.b64decode(terminal.screen.clipboard).decode() in saved
    assert "Titanic" not in (tmp_path / "edited.md").read_text(encoding="utf-8").partition("\n")[2]


@pytest.mark.long
def test_a_response_that_was_made_elsewhere_is_opened_by_its_id(
    service: Service, tmp_path: Path
) -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}}}
    asked = {
        "input": "What is the weather in Paris?",
        "temperature": 0,
        "tools": [{"type": "function", "name": "get_weather", "parameters": city}],
        "tool_choice": "required",
    }
    called = fetch(service, "/v1/responses", asked)

    with chat(service.url, tmp_path) as terminal:
        terminal.expect_at_cursor(PROMPT)
        terminal.type(f"/open {called['id']}\r")
        terminal.expect(f"{PROMPT} What is the weather in Paris?")
        terminal.expect("The model calls the tool get_weather(city=")
        terminal.type("/open resp_1\r")
        terminal.expect("not found")


@pytest.mark.long
def test_a_pipe_is_stopped_by_ctrl_c(service: Service) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "turnstream", "chat", "--url", service.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"TURNSTREAM_CHAT_TEMPERATURE": "0"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(STORY.encode())
    process.stdin.close()
    process.stdout.read(9)
    process.send_signal(signal.SIGINT)
    process.stdin = None
    _, complaints = process.communicate(timeout=60)

    assert (process.returncode, complaints) == (130, b"")


@pytest.mark.long
def test_a_terminal_without_a_cursor_gets_plain_text(service: Service, tmp_path: Path) -> None:
    with chat(service.url, tmp_path, term="dumb") as terminal:
        terminal.expect(PROMPT)
        terminal.type(f"{FILM}\r")
        terminal.expect("iceberg.")

    assert "\x1b[?2026h" not in terminal.output


@pytest.mark.parametrize(
    ("message", "arguments", "code", "said"),
    [
        (b"caf\xe9?", (), 2, "the input is not UTF-8: byte 0xe9 at 3"),
        (b" \n", (), 2, "the input is empty: there is nothing to answer"),
        (b"Hello", ("--model", "no-such"), 2, "The model 'no-such' does not exist."),
    ],
)
def test_what_cannot_be_answered_is_one_sentence_and_an_exit_code(
    service: Service, message: bytes, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = piped(service, message, *arguments)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == f"turnstream chat: {said}\n"


def test_a_pipe_gets_the_answer_as_plain_text(service: Service) -> None:
    ended = piped(service, FILM.encode())

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == text_of(
        fetch(service, "/v1/responses", {"input": FILM, "temperature": 0})
    ).join(("", "\n"))


def test_an_encoding_without_the_answers_characters_is_said(service: Service) -> None:
    ended = piped(service, "こんにちは".encode(), PYTHONIOENCODING="ascii")

    assert ended.returncode == 1
    assert ended.stderr.startswith("turnstream chat: the output's encoding, ascii, has no '\\u")
