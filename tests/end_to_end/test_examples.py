"""What newcomers copy does what the README says it does."""

import http.server
import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser

from benchmarks.processes import answers_http, python, running
from harness.ports import free_port
from harness.service import ROOT, Service
from tests.browser import visit
from tests.programs import example, link_modules, run

#: Examples with a test of their own here, or elsewhere.
ALONE = {"browser.html", "echo_drift.py"}
TESTED_ELSEWHERE = {
    "resume.py",  # through a connection that is cut: test_resume_examples.py
    "resume_openai.py",
    "resume.mjs",
    "tools.py",  # tests/clients/test_tool_examples.py
    "agents_tools.py",
}
PYTHON = {
    "first_turn.py": "Titanic",
    "session.py": "film: .*Titanic.*\ncity: .*Paris.*\n(.*\n)+hello: Hello",
    "lanes.py": "film: .*Titanic.*\ncat: Once",
    "background.py": "Titanic.*\ncompleted Hello",
    "conversation.py": "Titanic.*\n> Who is the director.*\n.*Cameron",
    "chat_completions.py": "Cameron",
    "agents_sdk.py": "Titanic.*\n> Who is the director.*\n.*Cameron",
    "langchain_chat.py": "1997|Titanic",
}
NODE = {"first_turn.mjs": "Titanic", "vercel_ai.mjs": "1997|Titanic"}
SHELL = {"curl.sh": 'response.output_text.delta\n(.*\n)*{"status":"completed",.*Titanic'}


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_example_prints_its_answer(
    service: Service, client_python: Path, tmp_path: Path, name: str
) -> None:
    printed = run(client_python, example(name, tmp_path, service.url))

    assert re.search(PYTHON[name], printed)


@pytest.mark.parametrize("name", NODE)
def test_a_node_example_prints_its_answer(
    service: Service, node_modules: Path, tmp_path: Path, name: str
) -> None:
    link_modules(tmp_path, node_modules)

    printed = run("node", example(name, tmp_path, service.url))

    assert re.search(NODE[name], printed)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("name", SHELL)
def test_a_shell_example_prints_its_answer(service: Service, tmp_path: Path, name: str) -> None:
    printed = run("sh", example(name, tmp_path, service.url))

    assert re.search(SHELL[name], printed)


@pytest.fixture
def page_server(tmp_path: Path) -> Iterator[str]:
    """Serve a folder at another origin than the service's; give the URL."""
    handler = partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def open_node(
    service: Service, page_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run another node of the service, which accepts that origin; give its URL."""
    port = free_port()
    environ = {
        "TURNSTREAM_REDIS_URL": service.child("serve").environ()["TURNSTREAM_REDIS_URL"],
        "TURNSTREAM_PORT": str(port),
        "TURNSTREAM_ORIGINS": page_server,
    }
    directory = tmp_path_factory.mktemp("open-node")
    with running(
        "serve", *python("turnstream", "serve"), directory=directory, environ=environ
    ) as node:
        node.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/healthz"))
        yield f"http://127.0.0.1:{port}"


async def test_the_example_page_shows_a_conversation(
    browser: Browser, page_server: str, open_node: str, tmp_path: Path
) -> None:
    example("browser.html", tmp_path, open_node)

    async with visit(browser, f"{page_server}/browser.html") as visitor:
        answer = visitor.page.locator('#answer[data-status="completed"]')
        ask = visitor.page.get_by_role("button", name="Ask")
        await ask.click()
        await answer.wait_for()
        first = await answer.text_content()
        await visitor.page.get_by_label("Question").fill("Who is the director of the movie?")
        await ask.click()
        await answer.filter(has_text="Cameron").wait_for()

    assert "Titanic" in (first or "")


@pytest.mark.long
def test_the_echo_drift_shows_on_the_demo_models_tokenizer() -> None:
    printed = run(sys.executable, ROOT / "examples" / "echo_drift.py", ROOT / "workers" / "demo")

    assert re.search(r"turn  text  \+turn  exact.*\n   1 .*\n   2 ", printed)


def test_every_example_is_run_by_a_test_and_is_listed() -> None:
    files = {
        file.name
        for file in (ROOT / "examples").iterdir()
        if file.suffix in (".py", ".mjs", ".sh", ".html")
    }
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")

    assert files == {*PYTHON, *NODE, *SHELL, *TESTED_ELSEWHERE, *ALONE}
    assert {name for name in files if f"({name})" in listed} == files


def test_the_node_examples_are_locked_to_what_they_ask_for() -> None:
    asked = json.loads((ROOT / "examples" / "package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "examples" / "package-lock.json").read_text())["packages"]

    assert {name: locked[f"node_modules/{name}"]["version"] for name in asked} == asked
    assert not any("resolved" in package for package in locked.values())
