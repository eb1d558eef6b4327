"""A fact the demo model knows: the ways to ask for it, and its answer.

Wordings marked `unseen` are for the evaluation alone; the corpus never contains them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """Ways to ask one thing.

    `{name}`-like fields are filled in for each subject; `[Hi|Hello] there[|!]` is four wordings.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    def fill(self, fields: Mapping[str, str]) -> "Wordings":
        """Put a subject's fields into every wording, and write out its choices."""
        return Wordings(seen=_filled(self.seen, fields), unseen=_filled(self.unseen, fields))


def _filled(wordings: Sequence[str], fields: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(text.format_map(fields) for wording in wordings for text in spread(wording))


def spread(wording: str) -> tuple[str, ...]:
    """Write out every way to read a wording with choices."""
    before, *rest = _CHOICE.split(wording, maxsplit=1)
    if not rest:
        return (before,)
    choices, after = rest
    ends = spread(after)
    return tuple(before + choice + end for choice in choices.split("|") for end in ends)


NONE = Wordings(seen=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One question and its answer."""

    topic: str
    #: Wordings that stand alone.
    asked: Wordings
    #: Wordings that lean on an earlier turn about the same subject ("Who directed it?").
    again: Wordings = NONE
    #: Wordings that lean on the same aspect of another subject ("And Japan?").
    switch: Wordings = NONE
    answer: str
    #: The answer to a reader whose system text asks for a short one.
    brief: str
    #: A right answer contains this.
    phrase: str
    subject: str = ""
    aspect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """What can be asked about every subject of a family, as templates over its fields."""

    name: str
    asked: Wordings
    again: Wordings = NONE
    switch: Wordings = NONE
    answer: str
    brief: str
    phrase: str


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def facts_of(
    topic: str, subjects: Sequence[Mapping[str, str]], aspects: Sequence[Aspect]
) -> tuple[Fact, ...]:
    """Cross subjects with aspects; every subject has a `name`."""
    return tuple(
        Fact(
            topic=topic,
            subject=subject["name"],
            aspect=aspect.name,
            asked=aspect.asked.fill(subject),
            again=aspect.again.fill(subject),
            switch=aspect.switch.fill(subject),
            answer=aspect.answer.format_map(subject),
            brief=_capitalised(aspect.brief.format_map(subject)),
            phrase=aspect.phrase.format_map(subject),
        )
        for subject in subjects
        for aspect in aspects
    )
