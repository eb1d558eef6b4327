"""Finds the browser for tests of the page; `python -m harness.chromium` prints its path.

It is one on PATH or the one that Playwright has downloaded; nothing is installed here.
"""

import shutil
import sys
from pathlib import Path

#: Chromium and browsers based on it, in the order of preference.
PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)


def find_chromium() -> str | None:
    """Return the path of a browser, or None if this machine has none."""
    for program in filter(None, map(shutil.which, PROGRAMS)):
        return program
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        downloaded = playwright.chromium.executable_path
    return downloaded if Path(downloaded).exists() else None


if __name__ == "__main__":
    found = find_chromium()
    if found is None:
        sys.exit(1)
    print(found)  # noqa: T201
