"""Reads from a Chromium trace how much processor time each task of a page's main thread took.

On a machine that does other work a frame comes late although the page did little. This time
says what the page itself did: script, style, layout and paint.
"""

import json
from dataclasses import dataclass

from playwright.async_api import Browser

FRAME_MS = 1000 / 60

_CATEGORIES = ["-*", "disabled-by-default-devtools.timeline"]


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a page's main thread."""

    longest_ms: float
    #: Those that took longer than a frame may.
    late: int


async def start_trace(browser: Browser) -> None:
    """Start to record the tasks of all threads."""
    await browser.start_tracing(categories=_CATEGORIES)


async def stop_trace(browser: Browser) -> Tasks:
    """Stop recording; return the tasks of the main thread that did most."""
    return tasks_of(await browser.stop_tracing())


def tasks_of(trace: bytes) -> Tasks:
    """Return the tasks in a trace, which is Chromium's JSON."""
    taken: dict[tuple[int, int], list[float]] = {}
    names: dict[tuple[int, int], str] = {}
    for event in json.loads(trace)["traceEvents"]:
        thread = (event["pid"], event["tid"])
        if event["name"] == "thread_name":
            names[thread] = event["args"]["name"]
        elif event["name"] == "RunTask" and "tdur" in event:
            taken.setdefault(thread, []).append(event["tdur"] / 1000)
    mains = {thread: ms for thread, ms in taken.items() if names.get(thread) == "CrRendererMain"}
    busiest = max(mains.values(), key=sum, default=[0.0])
    return Tasks(longest_ms=max(busiest), late=sum(ms > FRAME_MS for ms in busiest))
