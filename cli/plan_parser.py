"""The options of `turnstream plan`."""

import argparse
import re
from pathlib import Path

from turnstream.cli.gpu_cards import CARDS

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(GiB|GB|MiB|MB|G|M)", re.IGNORECASE)
_UNITS = {"gib": 2**30, "g": 2**30, "gb": 10**9, "mib": 2**20, "m": 2**20, "mb": 10**6}


def add_plan(plan: argparse.ArgumentParser) -> None:
    """Add the options of `turnstream plan`."""
    plan.add_argument(
        "--model", type=Path, required=True, metavar="PATH", help="its config.json, or its folder"
    )
    where = plan.add_mutually_exclusive_group(required=True)
    where.add_argument("--gpu", choices=sorted(CARDS), metavar="CARD", help=", ".join(CARDS))
    where.add_argument("--memory", type=_size, metavar="24GiB", help="of a CPU or another card")
    plan.add_argument(
        "--bandwidth", type=_bandwidth, metavar="GB/s", help="of its memory (the card's)"
    )
    plan.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="(the card's)")
    plan.add_argument("--quantize", choices=("none", "int4", "int8"), default="none")
    plan.add_argument("--context", type=_count, metavar="N", help="tokens of a turn, at most")
    plan.add_argument("--slots", type=_count, metavar="N", help="turns at the same time, at most")
    for flag, default, form, meaning in (
        ("--tokens-per-second", 10.0, _positive, "that people read"),
        ("--turn-tokens", 1000, _count, "of prompt and answer, on average"),
        ("--readers", 100, _count, "people who read at the same time"),
        ("--turns-per-day", 10_000, _count, "for the memory of Redis"),
        ("--store-days", 30.0, _positive, "that turns are kept"),
    ):
        plan.add_argument(
            flag, type=form, default=default, metavar="N", help=f"{meaning} ({default:g})"
        )
    plan.add_argument("--json", action="store_true", help="print JSON")


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be a size such as 24GiB, not {text!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _bandwidth(text: str) -> float:
    return _positive(text) * 1e9


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from exc
    if not 0 < number < 1e12:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**12):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)
