"""Bad input is one line that names the option or variable, and exit code 2."""

import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from turnstream.cli.main import main, make_parser

ROOT = Path(__file__).parents[2]


def turnstream(
    *arguments: str, typed: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "turnstream", *arguments],
        capture_output=True,
        text=True,
        input=typed,
        timeout=60,
        cwd=ROOT,
        env=os.environ | environ,
    )


@pytest.mark.parametrize(
    ("arguments", "environ", "named"),
    [
        (("up", "--port", "eighty"), {}, "--port"),
        (("up", "--port", "65536"), {}, "--port"),
        (("up", "--workers", "0"), {}, "--workers"),
        (("up",), {"TURNSTREAM_PORT": "eighty"}, "TURNSTREAM_PORT"),
        (("up", "--model", "/a/x", "--model", "/b/x"), {}, "NAME="),
        (("up",), {"TURNSTREAM_WORKERS": "-1"}, "TURNSTREAM_WORKERS"),
        (("up",), {"TURNSTREAM_REDIS_URL": "localhost"}, "TURNSTREAM_REDIS_URL"),
        (("up", "--redis-url", "unix:///x"), {}, "TURNSTREAM_REDIS_URL"),
        (("up", "--host", "no.such.host.invalid", "--data-dir", "{tmp}"), {}, "--host"),
        (("up", "--data-dir", "{tmp}/file/data"), {}, "--data-dir"),
        (("up", "--dtype", "int8", "--port", "0", "--data-dir", "{tmp}"), {}, "TURNSTREAM_DTYPE"),
        (
            ("up", "--host", "0.0.0.0", "--port", "0", "--data-dir", "{tmp}"),
            {},
            "TURNSTREAM_API_KEYS",
        ),
        (("chat", "--url", "127.0.0.1"), {}, "TURNSTREAM_URL"),
        (("chat", "--temperature", "warm"), {}, "TURNSTREAM_CHAT_TEMPERATURE"),
        (("chat",), {}, "the input is empty"),
        (("dance",), {}, "dance"),
        ((), {}, "COMMAND"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    arguments: tuple[str, ...],
    environ: dict[str, str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    # Options go into the environment, so that all processes below have them.
    with patch.dict(os.environ, environ):
        try:
            code: object = main([argument.format(tmp=tmp_path) for argument in arguments])
        except SystemExit as ended:
            code = ended.code

    said = capsys.readouterr()
    assert code == 2
    assert named in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_the_program_ends_with_the_exit_code_of_its_command() -> None:
    ended = turnstream("up", "--port", "eighty")

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


def test_an_option_replaces_the_variable_of_its_name() -> None:
    options = vars(make_parser().parse_args(["worker", "--slots", "3", "--worker-index", "7"]))

    assert options["TURNSTREAM_SLOTS"] == 3
    assert options["TURNSTREAM_WORKER_INDEX"] == 7
    assert options["TURNSTREAM_MODEL"] is None


def test_chat_reports_a_server_that_cannot_be_reached() -> None:
    ended = turnstream("chat", "--url", "http://127.0.0.1:1", typed="Hello")

    assert ended.returncode == 1
    assert ended.stderr == (
        "turnstream chat: cannot connect to http://127.0.0.1:1: Connection refused\n"
    )


def test_parsing_the_command_line_imports_no_other_package() -> None:
    code = (
        "import sys; from turnstream.cli.main import main, make_parser; make_parser();"
        "print([m for m in sys.modules if m.removeprefix('turnstream.').split('.')[0] in"
        " ('torch', 'starlette', 'celery', 'redis', 'workers', 'ws_server')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )

    assert ended.stdout == "[]\n"
