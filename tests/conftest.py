"""What tests share, each started once: a real Redis, a running service, and the official clients.

A test that breaks the service uses another one. The report of a failing test has the service's log.
"""

import gc
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import pytest_asyncio
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from harness.service import ROOT, Service
from turnstream.cli.redis_server import PrivateRedis, find_program

if TYPE_CHECKING:
    from playwright.async_api import Browser

START_SECONDS = 20.0
#: So much of the service's output is shown under a failing test.
SHOWN_CHARACTERS = 20_000
MOST_PROCESSES = 4


#: Folders and files whose tests share a process, and so what they start: a service, or front ends
#: and a browser. At most two of the processes hold a service, however many there are: tests of
#: faults have deadlines that more services would make late. No group has the tests that take
#: `FUZZ_SECONDS`: it would end last, alone.
GROUPS = {
    "faults": "faults",
    "end_to_end": "service",
    "clients": "service",
    "fuzz/test_http.py": "service",
    "fuzz/test_socket.py": "service",
    "schemas": "service",
    "ws_server": "front ends",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of processes: one more than cores, since a third of the time is waiting."""
    return min((psutil.cpu_count() or 1) + 1, MOST_PROCESSES)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that runs each group, or else each file, in one process and in order.

    The mark `xdist_group` does nothing here: pytest-xdist 3.8 writes the group into an attribute
    from which pytest 9.2 no longer makes a test's id.
    """
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)


def group_of(nodeid: str) -> str:
    """Return the name of the group that a test belongs to."""
    file = nodeid.partition("::")[0]
    inside = file.removeprefix("tests/")
    return GROUPS.get(inside) or GROUPS.get(inside.partition("/")[0], file)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis that no process of ours uses beside the test, and give its URL, database 0."""
    with private_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextmanager
def private_redis(directory: Path) -> Iterator[str]:
    """Run a Redis and give its URL.

    A folder whose tests share a front end has one of its own: each second a front end sweeps, and
    takes batches, whoever they belong to.
    """
    private = PrivateRedis.prepare(find_program(), directory)
    server = subprocess.Popen(private.argv)
    try:
        wait_for(private, server)
        yield private.url
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AsyncRedis]:
    """Give a client of the empty database; answers are bytes."""
    async with AsyncRedis.from_url(redis_url, protocol=2, decode_responses=False) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run `turnstream up` with the demo model. A test that breaks it starts another."""
    # The receivers of webhooks are on this machine.
    environ = {"TURNSTREAM_WEBHOOKS": "any"}
    with Service(tmp_path_factory.mktemp("service"), environ=environ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator["Browser"]:
    """Run one Chromium for all tests of the page; `tests.browser.visit` opens it."""
    from tests.browser import launch  # Playwright takes long to import, and few tests need it

    async with launch() as running:
        yield running


@pytest.fixture(scope="session")
def client_python() -> Path:
    """Give the Python that has the official clients."""
    program = ROOT / ".venv" / "clients" / "bin" / "python"
    if not program.exists():
        pytest.fail("`make test` installs the Python clients first")
    return program


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Give the folder where Node finds the official clients."""
    if shutil.which("npm") is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("no npm: install it to test the Node clients")
    folder = ROOT / "examples" / "node_modules"
    if not folder.exists():
        pytest.fail("`make test` installs the Node clients first")
    return folder


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C, so that every service that was started is ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Collect no garbage while tests are imported, and never look through all that was imported.

    It would take a quarter of the time, and so would each full collection of a test.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run each test that uses `browser` in the event loop in which the browser was started.

    And the groups before all else, where several processes run: a group is not divided, so one that
    began late would end last, alone.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: group_of(item.nodeid) not in GROUPS.values())
    for item in items:
        if isinstance(item, pytest.Function) and "browser" in item.fixturenames:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Service):
                report.sections.append(("turnstream up", value.logs[-SHOWN_CHARACTERS:]))
    return report


def wait_for(private: PrivateRedis, server: "subprocess.Popen[bytes]") -> None:
    """Return once the server answers; fail with its last words if it does not."""
    deadline = time.monotonic() + START_SECONDS
    with Redis.from_url(private.url, protocol=2) as client:
        while True:
            try:
                client.ping()
                return
            except RedisConnectionError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the private Redis did not start: {private.last_line()}")
                time.sleep(0.05)
