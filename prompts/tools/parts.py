"""What an answer consists of, read from the model's text while it comes.

A reader gives the same parts however the text was cut, so that another worker that reads the text
again is at the same place in the same call.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Text:
    """Text for the reader; it comes before all calls."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A call of a tool begins."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """Further text of the arguments of the call that has begun."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The arguments are complete."""


Part = Text | CallBegun | Arguments | CallEnded


class CallReader(Protocol):
    """Reads one answer in the format in which a model writes its calls."""

    @property
    def ended(self) -> bool:
        """Whether nothing that follows is part of the answer."""
        ...

    def feed(self, text: str) -> list[Part]:
        """Take the next text; return what is certain to be part of the answer."""
        ...

    def finish(self, *, cut: bool) -> list[Part]:
        """Return the rest of an answer that has ended.

        Args:
            cut: the model was stopped: what might have become a mark is dropped.
        """
        ...


def joined(parts: Iterable[Part]) -> list[Part]:
    """Return parts with neighbouring texts, and texts of arguments, in one; empty ones left out."""
    result: list[Part] = []
    for part in parts:
        match part, result[-1] if result else None:
            case (Text("") | Arguments(""), _):
                pass
            case Text(text), Text(before):
                result[-1] = Text(before + text)
            case Arguments(text), Arguments(before):
                result[-1] = Arguments(before + text)
            case _:
                result.append(part)
    return result
