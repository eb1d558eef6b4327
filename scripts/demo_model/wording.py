"""Random variations of a question: openings, typos, case, punctuation."""

import re
from collections.abc import Iterator
from random import Random

from scripts.demo_model.reading import read_lines
from scripts.demo_model.wording_ja import JAPANESE, vary_japanese

_OPENINGS = (
    "Hi, ",
    "Hello! ",
    "Hey, ",
    "So, ",
    "OK, ",
    "Now, ",
    "Well, ",
    "Please, ",
    "Tell me, ",
    "Question: ",
    "Quick question: ",
    "I have a question: ",
    "I want to know: ",
    "I wonder: ",
    "One more thing: ",
    "Next question: ",
    "And now: ",
    "By the way, ",
    "Just tell me: ",
    "Say, ",
    "Hello there. ",
    "Good. ",
    "Excuse me, ",
)
_ENDINGS = (
    " Please.",
    " please",
    " Thanks!",
    " Thank you.",
    ", please",
    " Tell me.",
    " I wonder.",
    " now",
)
_REQUESTS = (
    "Please ",
    "Can you ",
    "Could you ",
    "Could you please ",
    "Would you please ",
    "I want you to ",
)
_IMPERATIVES = frozenset(read_lines("imperatives.txt"))
_SHORT_FORMS = (
    ("What is ", "What's "),
    ("Who is ", "Who's "),
    ("Where is ", "Where's "),
    ("I am ", "I'm "),
)

_LATIN = re.compile("[A-Za-z]")


def normalised(text: str) -> str:
    """Return a wording without differences of case, punctuation and spaces.

    Japanese, which has no spaces, gets one around every character.
    """
    apart = re.sub(f"({JAPANESE.pattern})", r" \1 ", text.lower())
    return " ".join(re.sub(r"[^\w+*=-]", " ", apart).split())


def phrases(text: str) -> Iterator[str]:
    """Yield every sequence of consecutive words of a text, normalised."""
    words = normalised(text).split()
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield " ".join(words[start:end])


def vary(rng: Random, question: str) -> str:
    """Return a question with random variations of its form."""
    if JAPANESE.search(question):
        return vary_japanese(rng, question)
    if not _LATIN.match(question):
        return question.rstrip("?") if rng.random() < 0.25 else question
    first = question.split(" ", 1)[0]
    if rng.random() < 0.3:
        for long, short in _SHORT_FORMS:
            question = question.replace(long, short)
    if first in _IMPERATIVES and rng.random() < 0.35:
        question = rng.choice(_REQUESTS) + question[0].lower() + question[1:]
        if question.startswith(("Can", "Could", "Would")):
            question = question.rstrip(".") + "?"
    elif rng.random() < 0.2:
        opening = rng.choice(_OPENINGS)
        if rng.random() < 0.5 and not question.startswith("I "):
            question = question[0].lower() + question[1:]
        question = opening + question
    if rng.random() < 0.08:
        question += rng.choice(_ENDINGS)
    if rng.random() < 0.2:
        question = question.rstrip("?.!")
    if rng.random() < 0.15:
        question = question.lower()
    elif rng.random() < 0.02:
        question = question.upper()
    if rng.random() < 0.05:
        question = _with_typo(rng, question)
    return question


def _with_typo(rng: Random, text: str) -> str:
    """Swap two letters in one long word, or drop one."""
    words = text.split(" ")
    long = [n for n, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not long:
        return text
    chosen = rng.choice(long)
    word = words[chosen]
    at = rng.randrange(1, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    words[chosen] = rng.choice((swapped, word[:at] + word[at + 1 :]))
    return " ".join(words)
