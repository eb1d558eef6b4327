"""What `turnstream loadtest` is asked for, and its command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path

#: Conversation openers; short, so that the model and not the prompt is measured.
QUESTIONS = (
    "What can you tell me about the moon?",
    "Write a short story about a lighthouse.",
    "How do I make pancakes?",
    "Why is the sky blue?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How people behave."""

    #: Who arrive in a minute, on average, at random times.
    people_per_minute: float = 30.0
    #: How long people arrive; those who came finish their conversations.
    seconds: float = 60.0
    #: Questions of one person, on average.
    questions: float = 3.0
    #: Between an answer and the next question, on average.
    think_seconds: float = 5.0
    answer_tokens: int = 64
    #: How many of the answers are begun on one connection and read on from another.
    reconnecting: float = 0.1
    #: Lines of a batch that is answered meanwhile.
    batch_lines: int = 0
    model: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What 95 of 100 people are to get."""

    first_slice_seconds: float = 1.0
    gap_seconds: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    load: Load
    target: Target
    find_rate: bool
    report: Path | None
    json: Path | None

    @classmethod
    def of(cls, given: dict[str, object]) -> "Options":
        """Return the options that the command line gave."""
        load = {name: given[name] for name in Load.__dataclass_fields__ if name in given}
        target = {name: given[name] for name in Target.__dataclass_fields__ if name in given}
        return cls(
            load=Load(**load),  # type: ignore[arg-type]
            target=Target(**target),  # type: ignore[arg-type]
            find_rate=bool(given["find_rate"]),
            report=given["report"],  # type: ignore[arg-type]
            json=given["json"],  # type: ignore[arg-type]
        )


def add_loadtest(parser: argparse.ArgumentParser) -> None:
    """Add the options of `turnstream loadtest`."""
    load, target = Load(), Target()
    for flag, default, form, metavar, meaning in (
        ("--people-per-minute", load.people_per_minute, _positive, "N", "who arrive"),
        ("--seconds", load.seconds, _positive, "S", "how long they arrive"),
        ("--questions", load.questions, _positive, "N", "of one person, on average"),
        ("--think-seconds", load.think_seconds, _at_least_0, "S", "before the next question"),
        ("--answer-tokens", load.answer_tokens, _count, "N", "of an answer, at most"),
        ("--reconnecting", load.reconnecting, _share, "SHARE", "of answers read on elsewhere"),
        ("--batch-lines", load.batch_lines, _count_or_0, "N", "of a batch beside them"),
        ("--seed", load.seed, _count_or_0, "N", "of the random times, to repeat them"),
        ("--first-slice-seconds", target.first_slice_seconds, _positive, "S", "target, at p95"),
        ("--gap-seconds", target.gap_seconds, _positive, "S", "target between slices, at p95"),
    ):
        parser.add_argument(
            flag, type=form, default=default, metavar=metavar, help=f"{meaning} ({default:g})"
        )
    parser.add_argument("--model", metavar="NAME", help="the model to use (the server's default)")
    parser.add_argument(
        "--find-rate", action="store_true", help="look for the most people that meet the target"
    )
    parser.add_argument("--report", metavar="FILE.html", type=Path, help="write a page with plots")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures as JSON")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from exc


def _positive(text: str) -> float:
    if not 0 < (number := _number(text)) < 1e9:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return number


def _at_least_0(text: str) -> float:
    if not 0 <= (number := _number(text)) < 1e9:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return number


def _share(text: str) -> float:
    if not 0 <= (number := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {text}")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def _count_or_0(text: str) -> int:
    return 0 if text == "0" else _count(text)
