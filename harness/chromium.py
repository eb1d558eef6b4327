"""Finds the browser that tests of the page drive; `python -m harness.chromium` prints its path.

It may be one on PATH or the one that Playwright downloads; nothing is installed here. Playwright's
own driver is checked too: it is a program that needs a system library which small images lack.
"""

import importlib.util
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: Chromium and browsers made of it, in the order of preference.
PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)


class NoBrowser(Exception):
    """Tests of the page can't run on this machine; the text says what is missing."""


def find_chromium() -> str:
    """Return the path of a browser that can be driven.

    Raises:
        NoBrowser: there is none, or its driver does not start.
    """
    _check_driver()
    for program in filter(None, map(shutil.which, PROGRAMS)):
        return program
    # Playwright's synchronous API refuses a thread whose event loop runs, as a test's does.
    with ThreadPoolExecutor(1) as pool:
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
