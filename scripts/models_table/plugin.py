"""A pytest plugin that writes which marked tests passed: `-p scripts.models_table.plugin`."""

import json
from pathlib import Path

import pytest

from scripts.models_table.cells import MARK


class Outcomes:
    """Collects the marks of the tests that ran, by what became of them."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._cells: dict[str, list[tuple[str, ...]]] = {}
        self._passed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what each test stands for."""
        for item in session.items:
            file = str(item.path)
            for mark in item.iter_markers(MARK):
                self._cells.setdefault(item.nodeid, []).append((file, *mark.args))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that passed."""
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the cells of tests that passed, and the names of those that did not."""
        passed = [cell for id in self._passed for cell in self._cells.get(id, ())]
        other = sorted(self._cells.keys() - self._passed)
        self._to.write_text(json.dumps({"passed": passed, "other": other}), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where to."""
    parser.addoption("--cells-to", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect, if that was asked for."""
    if to := config.getoption("--cells-to"):
        config.pluginmanager.register(Outcomes(to))
