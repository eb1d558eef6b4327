"""`turnstream bulk`: a file of requests in, a file of results out, by a batch of a service.

The service does the work and keeps it; this only waits. So Ctrl-C loses nothing, and the same
command goes on where it was.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from turnstream.cli.bulk_local import NoService, local_service
from turnstream.cli.bulk_order import in_order
from turnstream.cli.bulk_service import PAUSE_SECONDS, BulkService, Json, Refused, ServiceAway
from turnstream.cli.bulk_state import Asked, OtherRun, State, StateFile, sha256_of
from turnstream.cli.chat import ChatSettings
from turnstream.cli.exit_code import BAD_SETTING, INTERRUPTED, SOME_FAILED
from turnstream.cli.interrupt import remembered_interrupt

_OVER = ("completed", "failed", "expired", "cancelled")
_BAD_REQUEST, _NOT_FOUND = 400, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the command line asks for."""

    requests: Path
    out: Path
    endpoint: str
    window: str
    ordered: bool
    local: bool


def run(asked: Run) -> int:
    """Carry it out and return the exit code."""
    state_file = StateFile(asked.out)
    settings = ChatSettings.read(os.environ)
    if asked.out.exists():
        return _say(f"{asked.out} is there already; remove it to begin anew", BAD_SETTING)
    try:
        state = state_file.open(
            Asked(
                input_sha256=sha256_of(asked.requests),
                endpoint=asked.endpoint,
                window=asked.window,
                server="local" if asked.local else settings.http_url,
            )
        )
        data_dir = asked.out.with_name(asked.out.name + ".data")
        with (
            remembered_interrupt() as check_interrupt,
            _service(asked, settings, data_dir) as service,
        ):
            batch = _carry_out(asked, service, state_file, state, check_interrupt)
            if batch["status"] != "failed":
                _fetch(asked, service, batch)
    except KeyboardInterrupt:
        return _say("stopped; the same command goes on from here", INTERRUPTED)
    except OSError as exc:
        return _say(f"{exc.filename}: {exc.strerror}", BAD_SETTING)
    except OtherRun as exc:
        return _say(str(exc), BAD_SETTING)
    except Refused as exc:
        return _say(str(exc), BAD_SETTING if exc.status == _BAD_REQUEST else 1)
    except (NoService, ServiceAway) as exc:
        return _say(str(exc), 1)
    state_file.remove()
    shutil.rmtree(data_dir, ignore_errors=True)
    return _report(asked, batch)


@contextmanager
def _service(asked: Run, settings: ChatSettings, data_dir: Path) -> Iterator[BulkService]:
    if not asked.local:
        with closing(BulkService(settings.http_url, settings.key)) as service:
            yield service
        return
    _say("starting a service for this run", 0)
    with (
        local_service(data_dir.absolute(), os.environ) as url,
        closing(BulkService(url, "")) as service,
    ):
        yield service


def _carry_out(
    asked: Run,
    service: BulkService,
    file: StateFile,
    state: State,
    check_interrupt: Callable[[], None],
) -> Json:
    """Have the batch made, if it isn't yet, and wait for its end."""
    if state.batch_id is not None:
        try:
            batch = service.batch(state.batch_id, lambda: None)
        except Refused as exc:
            if exc.status != _NOT_FOUND:
                raise
            _say("the service knows this batch no more; it is made anew", 0)
            file.remove()
            state = file.open(state.asked)
    if state.batch_id is None:
        if state.file_id is None:
            state = file.save(state, file_id=service.upload(asked.requests))
        batch = service.create(state.file_id or "", asked.endpoint, asked.window, state.key)
        file.save(state, batch_id=batch["id"])
    return _wait(service, batch, check_interrupt)


def _wait(service: BulkService, batch: Json, check_interrupt: Callable[[], None]) -> Json:
    done = _counts(batch)[1]
    with tqdm(unit="line", initial=done, smoothing=0.1, dynamic_ncols=True, disable=None) as bar:

        def away() -> None:
            bar.set_description_str("the service is away")

        while True:
            total, done, failed = _counts(batch)
            bar.total = total or None
            bar.update(done - bar.n)
            bar.set_description_str(str(batch["status"]), refresh=False)
            bar.set_postfix(failed=failed)
            if batch["status"] in _OVER:
                return batch
            time.sleep(PAUSE_SECONDS)
            check_interrupt()
            batch = service.batch(batch["id"], away)


def _fetch(asked: Run, service: BulkService, batch: Json) -> None:
    """Download the results, good and bad, into one file that appears whole."""
    part = asked.out.with_name(asked.out.name + ".part")
    part.unlink(missing_ok=True)
    part.touch()
    for name in ("output_file_id", "error_file_id"):
        if batch[name] is not None:
            service.download(batch[name], part, lambda: None)
    if asked.ordered:
        sorted_part = asked.out.with_name(asked.out.name + ".sorted")
        in_order(asked.requests, part, sorted_part)
        sorted_part.replace(part)
    part.replace(asked.out)


def _report(asked: Run, batch: Json) -> int:
    if batch["status"] == "failed":
        for problem in batch["errors"]["data"]:
            place = (
                asked.requests if problem["line"] is None else f"{asked.requests}:{problem['line']}"
            )
            print(f"{place}: {problem['message']} ({problem['code']})", file=sys.stderr)
        return _say("nothing was answered: the file is not good", BAD_SETTING)
    total, _, failed = _counts(batch)
    text = f"{batch['status']}: {total - failed} of {total} answered, {failed} failed: {asked.out}"
    return _say(text, SOME_FAILED if failed else 0)


def _counts(batch: Json) -> tuple[int, int, int]:
    counts: dict[str, Any] = batch["request_counts"]
    return counts["total"], counts["completed"] + counts["failed"], counts["failed"]


def _say(text: str, code: int) -> int:
    print(f"turnstream bulk: {text}", file=sys.stderr)
    return code
