"""`turnstream check-engine` and `check-gpu`: is this machine fit to run a model, and how fast?

The words go to stdout; what is done meanwhile goes to stderr.
"""

import json
import logging
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from turnstream.cli.console import BAD_SETTING, CANNOT_LOAD, NOT_FIT
from turnstream.turns.environment import SettingError
from turnstream.turns.model_name import checkpoint_of
from turnstream.workers import openmp
from turnstream.workers.settings import WorkerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options that are no settings."""

    #: Where the report goes as JSON; None: nowhere.
    json: Path | None = None


def run(options: Options, *, device: str) -> int:
    """Check and report; return the exit code.

    Args:
        device: what the setting `DEVICE` is when it is auto.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        settings = WorkerSettings.read(os.environ)
        if device == "cuda" and settings.device == "cpu":
            raise SettingError("DEVICE", "must be a GPU here, not 'cpu'; see check-engine")
        if settings.engine != "slot":
            raise SettingError("ENGINE", f"must be slot here, not {settings.engine!r}")
    except SettingError as exc:
        print(exc, file=sys.stderr)
        return BAD_SETTING
    if settings.device == "auto":
        settings = replace(settings, device=device)
    openmp.prepare()
    from turnstream.workers.engine import CheckpointError
    from turnstream.workers.engines.quantised_linear import Quantise
    from turnstream.workers.engines.self_check import check_engine

    try:
        report = check_engine(
            model=checkpoint_of(settings.model),
            device=settings.device,
            dtype=settings.dtype,
            quantize=Quantise(settings.quantize),
            lora_base=settings.lora_base,
            cache=settings.cache,
            compile_cache=settings.compile_cache,
            tell=lambda now: print(f"{now} …", file=sys.stderr, flush=True),
        )
    except (CheckpointError, TimeoutError) as exc:
        print(exc, file=sys.stderr)
        return CANNOT_LOAD
    if options.json:
        options.json.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    print("\n".join(report.lines()))
    return 0 if report.fit else NOT_FIT
