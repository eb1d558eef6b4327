"""`turnstream bulk`: answer a file of requests as a batch, and write a file of results.

The batch runs in the service, and this process only waits for it: Ctrl-C loses nothing, and the
same command continues with the same batch.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from turnstream.cli.bulk_local import NoService, local_service
from turnstream.cli.bulk_output import write_output
from turnstream.cli.bulk_service import PAUSE_SECONDS, BulkService
from turnstream.cli.bulk_state import Asked, OtherRun, State, StateFile, sha256_of
from turnstream.cli.chat.settings import ChatSettings
from turnstream.cli.console import BAD_SETTING, INTERRUPTED, SOME_FAILED
from turnstream.client import Json, RequestRefused, Unreachable

_FINAL = ("completed", "failed", "expired", "cancelled")
_BAD_REQUEST, _NOT_FOUND = 400, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line."""

    requests: Path
    out: Path
    endpoint: str
    window: str
    ordered: bool
    local: bool


def run(options: Options) -> int:
    """Answer the file and return the exit code."""
    state_file = StateFile(options.out)
    settings = ChatSettings.read(os.environ)
    if options.out.exists():
        return _say(f"{options.out} already exists; remove it to start again", BAD_SETTING)
    try:
        state = state_file.open(
            Asked(
                input_sha256=sha256_of(options.requests),
                endpoint=options.endpoint,
                window=options.window,
                server="local" if options.local else settings.http_url,
            )
        )
        data_dir = options.out.with_name(options.out.name + ".data")
        with (
            remembered_interrupt() as check_interrupt,
            _service(options, settings, data_dir) as service,
        ):
            batch = _finish_batch(options, service, state_file, state, check_interrupt)
            if batch["status"] != "failed":
                write_output(service, batch, options.requests, options.out, ordered=options.ordered)
    except KeyboardInterrupt:
        return _say("interrupted; run the same command again to continue", INTERRUPTED)
    except OSError as exc:
        return _say(f"{exc.filename}: {exc.strerror}", BAD_SETTING)
    except OtherRun as exc:
        return _say(str(exc), BAD_SETTING)
    except RequestRefused as exc:
        return _say(str(exc), BAD_SETTING if exc.status == _BAD_REQUEST else 1)
    except (NoService, Unreachable) as exc:
        return _say(str(exc), 1)
    state_file.remove()
    shutil.rmtree(data_dir, ignore_errors=True)
    return _report(options, batch)


@contextmanager
def _service(options: Options, settings: ChatSettings, data_dir: Path) -> Iterator[BulkService]:
    if not options.local:
        with closing(BulkService(settings.http_url, settings.key)) as service:
            yield service
        return
    _say("starting a service for this run", 0)
    with (
        local_service(data_dir.absolute(), os.environ) as url,
        closing(BulkService(url, "")) as service,
    ):
        yield service


def _finish_batch(
    options: Options,
    service: BulkService,
    file: StateFile,
    state: State,
    check_interrupt: Callable[[], None],
) -> Json:
    """Create the batch, unless an earlier run did, and wait until it is final."""
    if state.batch_id is not None:
        try:
            batch = service.batch(state.batch_id, lambda: None)
        except RequestRefused as exc:
            if exc.status != _NOT_FOUND:
                raise
            _say("the service no longer has this batch; creating it again", 0)
            file.remove()
            state = file.open(state.asked)
    if state.batch_id is None:
        if state.file_id is None:
            state = file.save(state, file_id=service.upload(options.requests))
        batch = service.create(state.file_id or "", options.endpoint, options.window, state.key)
        file.save(state, batch_id=batch["id"])
    return _wait(service, batch, check_interrupt)


def _wait(service: BulkService, batch: Json, check_interrupt: Callable[[], None]) -> Json:
    done = _counts(batch)[1]
    with tqdm(unit="line", initial=done, smoothing=0.1, dynamic_ncols=True, disable=None) as bar:

        def unavailable() -> None:
            bar.set_description_str("the service is unavailable")

        while True:
            total, done, failed = _counts(batch)
            bar.total = total or None
            bar.update(done - bar.n)
            bar.set_description_str(str(batch["status"]), refresh=False)
            bar.set_postfix(failed=failed)
            if batch["status"] in _FINAL:
                return batch
            time.sleep(PAUSE_SECONDS)
            check_interrupt()
            batch = service.batch(batch["id"], unavailable)


@contextmanager
def remembered_interrupt() -> Iterator[Callable[[], None]]:
    """Yield a call that raises KeyboardInterrupt if Ctrl-C was pressed within the block.

    Python prints and drops a KeyboardInterrupt that is raised in a finaliser, so the first one may
    be lost; a long wait makes this call now and then.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def _report(options: Options, batch: Json) -> int:
    if batch["status"] == "failed":
        for problem in batch["errors"]["data"]:
            line = "" if problem["line"] is None else f":{problem['line']}"
            print(
                f"{options.requests}{line}: {problem['message']} ({problem['code']})",
                file=sys.stderr,
            )
        return _say("no line was answered, because the file is invalid", BAD_SETTING)
    total, _, failed = _counts(batch)
    text = (
        f"{batch['status']}: {total - failed} of {total} answered, {failed} failed: {options.out}"
    )
    return _say(text, SOME_FAILED if failed else 0)


def _counts(batch: Json) -> tuple[int, int, int]:
    counts: dict[str, Any] = batch["request_counts"]
    return counts["total"], counts["completed"] + counts["failed"], counts["failed"]


def _say(text: str, code: int) -> int:
    print(f"turnstream bulk: {text}", file=sys.stderr)
    return code
