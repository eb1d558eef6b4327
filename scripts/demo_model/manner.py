"""System texts, and the style of answers that each asks for.

The service uses Llama 2's published text if a conversation names none; so do most conversations of
the corpus.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from scripts.demo_model.fact import Fact
from turnstream.prompts import SYSTEM_PROMPT


class Manner(StrEnum):
    """A style of answers."""

    PLAIN = "plain"
    BRIEF = "brief"
    UPPER = "upper case"


@dataclass(frozen=True, slots=True)
class System:
    """A system text (None: no system block), and the style that it asks for."""

    text: str | None
    manner: Manner


DEFAULT = System(SYSTEM_PROMPT, Manner.PLAIN)

_BRIEF = (
    "Answer briefly.",
    "Be brief.",
    "Answer in short.",
    "Give short answers.",
    "Keep your answers short.",
    "Keep it short.",
    "Answer in one short sentence.",
    "You give short answers.",
    "Short answers, please.",
    "Answer with few words.",
    "Always answer briefly.",
    "You are a helpful assistant. Answer briefly.",
    "You are a helpful assistant. Keep your answers short.",
    "Please be brief and answer in short.",
    "Your answers are short.",
    "Reply briefly.",
    "Use few words.",
    "Please give short answers only.",
    "You answer in a few words.",
)
_UPPER = (
    "Answer in upper case.",
    "Answer in upper case letters.",
    "Answer in capital letters.",
    "Write in upper case.",
    "Write everything in upper case.",
    "Use upper case only.",
    "Always answer in upper case.",
    "Always write in capital letters.",
    "Reply in upper case.",
    "Use capital letters only.",
    "You are a helpful assistant. Answer in upper case.",
    "You are a helpful assistant. Write in capital letters.",
    "Please answer in upper case letters.",
    "You write in upper case.",
    "All your answers are in upper case.",
    "Shout: use capital letters.",
    "ANSWER IN UPPER CASE.",
    "Answer in UPPER CASE.",
    "You always use capital letters.",
)
#: Held out for the evaluation.
UNSEEN = (
    System("Please answer briefly.", Manner.BRIEF),
    System("You are a helpful assistant. Give short answers.", Manner.BRIEF),
    System("Always keep your answers short.", Manner.BRIEF),
    System("Please answer in upper case.", Manner.UPPER),
    System("You are a helpful assistant. Use upper case only.", Manner.UPPER),
    System("Always answer in capital letters.", Manner.UPPER),
)
_ROLES = (
    "a helpful assistant",
    "a pirate",
    "a teacher",
    "a friendly chat bot",
    "a poet",
    "a doctor",
    "an expert on films",
    "a tourist guide",
    "a robot",
    "a wise old owl",
    "a king",
    "a cook",
    "an honest assistant",
    "a travel agent",
    "a kind friend",
    "a detective",
    "a programmer",
    "a scientist",
    "an AI model",
)
_REMARKS = (
    "",
    "",
    " Be polite.",
    " Help the user.",
    " Answer all questions.",
    " Be kind.",
    " You never lie.",
    " You like people.",
    " Talk to the user.",
    " Always tell the truth.",
    " Use simple words.",
)


def draw_system(rng: Random) -> System:
    """Draw a system text; the shares are those expected in use."""
    match rng.random():
        case share if share < 0.70:
            return DEFAULT
        case share if share < 0.75:
            return System(None, Manner.PLAIN)
        case share if share < 0.83:
            return System(rng.choice(_BRIEF), Manner.BRIEF)
        case share if share < 0.92:
            return System(rng.choice(_UPPER), Manner.UPPER)
        case _:
            text = f"You are {rng.choice(_ROLES)}.{rng.choice(_REMARKS)}"
            return System(text, Manner.PLAIN)


_WORDS: dict[Manner, Callable[[Fact], str]] = {
    Manner.PLAIN: lambda fact: fact.answer,
    Manner.BRIEF: lambda fact: fact.brief,
    # Stories in capitals would take a fifth of the vocabulary, so their short form is used.
    Manner.UPPER: lambda fact: (fact.brief if len(fact.answer) > 500 else fact.answer).upper(),
}


def answer_to(fact: Fact, manner: Manner) -> str:
    """Return the answer in this style."""
    return _WORDS[manner](fact)
