"""What an answer of 10,000 tokens costs the page in a real Chromium, from the socket to the screen.

The tokens come as a worker writes them, 25 steps a second, so that the answer takes 20 seconds. The
peers are the same page with another renderer: one that parses the whole answer again at each frame,
as a page without incremental Markdown does, and, as the floor, one that only appends the text. An
empty page that does nothing but count its frames says how late they come on this machine anyhow.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, CDPSession, Page, async_playwright

from benchmarks.page_trace import FRAME_MS, start_trace, stop_trace
from benchmarks.processes import end_on_sigterm, front_end, redis_server
from benchmarks.publishers import MODEL, Worker
from benchmarks.report import Row, report, wants_json
from harness.chromium import find_chromium

TOKENS = 10_000
STEP_TOKENS = 20
STEP_SECONDS = 0.04
LEASE_SECONDS = 600.0
EMPTY_SECONDS = 5.0

OURS, WHOLE, PLAIN = "ours", "parsed again at each frame", "appended as text"
#: The renderers that stand in for the page's own module.
RENDERERS = {
    WHOLE: """
import { marked } from "./vendor/marked.esm.js";
export class Markdown {
  #text = "";
  #shown = "";
  constructor(element) { this.element = element; }
  write(text) { this.#text += text; }
  end() {}
  show() {
    if (this.#shown !== this.#text) this.element.innerHTML = marked.parse(this.#text);
    this.#shown = this.#text;
    return false;
  }
}""",
    PLAIN: """
export class Markdown {
  #text = "";
  constructor(element) { this.element = element; }
  write(text) { this.#text += text; }
  end() {}
  show() { this.element.append(this.#text); this.#text = ""; return false; }
}""",
}

#: Notes the milliseconds between two frames, from the first word of the answer on.
FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const frame = (now) => { frames_ms.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""

_PROSE = "The **queue** holds turns that wait for `a worker`, and each keeps its place. "
_LINES = {
    "prose": "## Part\n\n" + _PROSE * 4 + "\n\n- one item\n- another **item**\n\n",
    "list": "- item with **bold words**, `code` and a [link](https://example.org/)\n",
    "code": "    total = sum(value * 2 for value in values)  # doubled\n",
}


@dataclass(frozen=True, slots=True)
class Frames:
    """The time between two frames, by the clock."""

    longest_ms: float
    #: Of frames that came within a sixtieth of a second, and half of one for the clock.
    on_time: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer took."""

    script_seconds: float
    #: Scripting, style, layout and all else of the page's main thread.
    task_seconds: float
    #: Processor time of the main thread's longest task, and how many took longer than a frame may.
    longest_task_ms: float
    late_tasks: int
    frames: Frames
    shown: str


def tokens_of(shape: str, count: int) -> list[str]:
    """Return a text of this many tokens, four characters each, as code or Markdown."""
    start = "```python\n" if shape == "code" else ""
    text = start + _LINES[shape] * (count * 4 // len(_LINES[shape]) + 1)
    return [text[at : at + 4] for at in range(0, count * 4, 4)]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser; close it at the end."""
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=options)
        yield browser
        await browser.close()


async def measure(browser: Browser, url: str, redis_url: str, kind: str, tokens: list[str]) -> Cost:
    """Have one answer written and return what it took."""
    async with await browser.new_context(viewport={"width": 1200, "height": 800}) as context:
        page = await context.new_page()
        if kind in RENDERERS:
            body, script = RENDERERS[kind], "text/javascript"
            await page.route(
                "**/static/markdown.js",
                lambda route: route.fulfill(body=body, content_type=script),
            )
        await page.goto(url)
        await page.locator('#connection[data-state="connected"]').wait_for()
        await page.get_by_label("Your message").fill("Write.")
        await page.keyboard.press("Enter")
        await page.locator('.turn[data-state="queued"]').wait_for()
        worker = Worker(redis_url, 1, lease_seconds=LEASE_SECONDS)
        await asyncio.to_thread(worker.begin)
        await page.locator('.turn[data-state="thinking"]').wait_for()
        devtools = await context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        before = await _metrics(devtools)
        await start_trace(browser)
        await page.evaluate(FRAMES)
        clock = asyncio.get_running_loop()
        due = clock.time()
        for at in range(0, len(tokens), STEP_TOKENS):
            await asyncio.to_thread(worker.say, "".join(tokens[at : at + STEP_TOKENS]))
            due += STEP_SECONDS
            await asyncio.sleep(max(0.0, due - clock.time()))
        await asyncio.to_thread(worker.end)
        await page.locator('.turn[aria-busy="false"]').wait_for(timeout=120_000)
        frames = await _frames(page)
        tasks = await stop_trace(browser)
        after = await _metrics(devtools)
        shown = await page.locator(".answer").text_content() or ""
    return Cost(
        script_seconds=after["ScriptDuration"] - before["ScriptDuration"],
        task_seconds=after["TaskDuration"] - before["TaskDuration"],
        longest_task_ms=tasks.longest_ms,
        late_tasks=tasks.late,
        frames=frames,
        shown=shown,
    )


async def empty(browser: Browser) -> Frames:
    """Return how late the frames of an empty page come."""
    async with await browser.new_page() as page:
        await page.evaluate(FRAMES)
        await asyncio.sleep(EMPTY_SECONDS)
        return await _frames(page)


async def _frames(page: Page) -> Frames:
    taken: list[float] = await page.evaluate("frames_ms")
    return Frames(max(taken), sum(each < 25 for each in taken) / len(taken))


async def _metrics(devtools: CDPSession) -> dict[str, float]:
    found = await devtools.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in found["metrics"]}


async def measured(directory: Path, shape: str, tokens: list[str]) -> dict[str, Cost]:
    """Measure one shape with every renderer, and print what each took."""
    costs = {}
    with (
        redis_server(directory) as redis_url,
        front_end(directory, redis_url, MODEL) as server,
    ):
        async with chromium() as browser:
            for kind in (OURS, WHOLE, PLAIN):
                url = f"http://{server.address}/"
                costs[kind] = cost = await measure(browser, url, redis_url, kind, tokens)
                print(
                    f"{shape}, {kind}: longest task {cost.longest_task_ms:.1f} ms,"
                    f" {cost.late_tasks} longer than a frame,"
                    f" scripting {cost.script_seconds:.2f} s,"
                    f" main thread {cost.task_seconds:.2f} s; {_words(cost.frames)}"
                )
            print(f"an empty page: {_words(await empty(browser))}")
    return costs


def _words(frames: Frames) -> str:
    return f"longest frame {frames.longest_ms:.0f} ms, {frames.on_time:.1%} of frames on time"


async def run(directory: Path) -> list[Row]:
    """Measure every shape."""
    rows = []
    for shape in _LINES:
        folder = directory / shape
        folder.mkdir()
        costs = await measured(folder, shape, tokens_of(shape, TOKENS))
        for name, against in (("whole", WHOLE), ("plain", PLAIN)):
            rows.append(_row(f"page_{shape}_{name}", costs[OURS], costs[against], against))
        longest = costs[OURS].longest_task_ms
        rows.append(
            Row(
                case=f"page_{shape}_frame",
                ours=longest,
                theirs=FRAME_MS,
                unit="ms longest task",
                against="a sixtieth of a second",
                ratio=FRAME_MS / longest,
            )
        )
    return rows


def _row(case: str, ours: Cost, theirs: Cost, against: str) -> Row:
    return Row(
        case=case,
        ours=ours.script_seconds,
        theirs=theirs.script_seconds,
        unit="s script",
        against=against,
        ratio=theirs.script_seconds / ours.script_seconds,
    )


def main() -> None:
    """Run it and print the table."""
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as directory:
        rows = asyncio.run(run(Path(directory)))
    report(rows, as_json)


if __name__ == "__main__":
    sys.exit(main())
