"""A fact that the demo model learns: wordings of its question, and its answer.

Wordings in `unseen` are held out for the evaluation; the corpus never contains them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """Wordings of one question.

    Fields like `{name}` are filled in for each subject; `[Hi|Hello] there[|!]` is four wordings.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    def fill(self, fields: Mapping[str, str]) -> "Wordings":
        """Return the wordings with a subject's fields filled in and all choices expanded."""
        return Wordings(seen=_filled(self.seen, fields), unseen=_filled(self.unseen, fields))


def _filled(wordings: Sequence[str], fields: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(text.format_map(fields) for wording in wordings for text in spread(wording))


def spread(wording: str) -> tuple[str, ...]:
    """Return all expansions of a wording with choices."""
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
    #: Wordings that need no earlier turn.
    asked: Wordings
    #: Wordings that need an earlier turn about the same subject ("Who directed it?").
    again: Wordings = NONE
    #: Wordings that need an earlier turn about the same aspect of another subject ("And Japan?").
    switch: Wordings = NONE
    answer: str
    #: The answer if the system text asks for a short one.
    brief: str
    #: A right answer contains this.
    phrase: str
    subject: str = ""
    aspect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """A question about every subject of a topic, as templates over the fields of a subject."""

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
    """Return the facts of all subjects and aspects; every subject has a `name`."""
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
