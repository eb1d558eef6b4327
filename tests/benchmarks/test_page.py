"""The benchmark of the page at its smallest."""

import asyncio
from pathlib import Path

import psutil
import pytest

from benchmarks import page
from tests.browser import chromium


@pytest.mark.long
def test_each_renderer_shows_the_whole_answer_and_no_process_is_left(tmp_path: Path) -> None:
    chromium()
    others = processes()
    tokens = page.tokens_of("code", 40)

    costs = asyncio.run(page.measured(tmp_path, "code", tokens))

    written = "".join(tokens)
    code = written.removeprefix("```python\n")
    assert costs[page.PLAIN].shown == written
    assert costs[page.OURS].shown == f"pythonCopy{code}"
    assert costs[page.WHOLE].shown.rstrip() == code.rstrip()
    assert all(0 < cost.script_seconds < cost.task_seconds for cost in costs.values())
    assert processes() == others


def processes() -> list[psutil.Process]:
    """Return what this process has started, but for the processes of browsers of other tests."""
    started = psutil.Process().children(recursive=True)
    return [each for each in started if "chrom" not in each.name()]
