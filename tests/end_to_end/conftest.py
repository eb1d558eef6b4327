"""One running house for all end-to-end tests; a failing test shows what it said."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.service import Service

#: So much of the service's output is shown under a failing test.
SHOWN_CHARACTERS = 20_000


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run `turnstream up` with the demo model. Who breaks it starts one of their own."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running


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
