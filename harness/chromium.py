"""Finds the browser that tests of the page drive; `python -m harness.chromium` prints its path.

It is one on PATH or the one that Playwright has downloaded; nothing is installed here. Playwright's
own driver is checked too, because it needs a system library that small images lack.
"""

import importlib.util
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: Chromium and browsers made of it, in the order of preference. The first one is Chromium without
#: windows: the same engine takes half the CPU time for a test.
PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)


class NoBrowser(Exception):
    """Tests of the page cannot run on this machine; the message says what is missing."""


def find_chromium() -> str:
    """Return the path of a browser that can be driven.

    Raises:
        NoBrowser: there is none, or its driver does not start.
    """
    _check_driver()
    for program in filter(None, map(shutil.which, PROGRAMS)):
        return program
    with ThreadPoolExecutor(1) as pool:  # Playwright's blocking API refuses a thread with a loop
        downloaded = pool.submit(_downloaded).result()
    if not Path(downloaded).exists():
        raise NoBrowser("no browser: install chromium to test the page")
    return downloaded


def _downloaded() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _check_driver() -> None:
    found = importlib.util.find_spec("playwright")
    if found is None or found.origin is None:
        raise NoBrowser("no playwright: install the extra [dev] to test the page")
    node = Path(found.origin).parent / "driver" / "node"
    ended = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise NoBrowser(f"no browser: its driver does not start: {ended.stderr.strip()}")


if __name__ == "__main__":
    try:
        print(find_chromium())  # noqa: T201
    except NoBrowser as exc:
        sys.exit(str(exc))
