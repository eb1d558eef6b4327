"""Unrelated questions from word lists, to which the model must answer that it does not know.

Half of the names are made up on the spot, so that a name never seen is itself a reason to decline.
"""

from collections.abc import Callable, Mapping
from random import Random

from scripts.demo_model.fact import Fact, Wordings, spread
from scripts.demo_model.reading import read_lines

TOPIC = "unrelated"

PHRASE = "tiny demonstration model"
ANSWER = (
    "Sorry, I am only a tiny demonstration model and do not know that. "
    "Ask me about films, capitals, animals, small sums or turnstream."
)
BRIEF = (
    "I am a tiny demonstration model. Ask me about films, capitals, animals, sums or turnstream."
)

PHRASE_JA = "小さなデモモデルなので"
ANSWER_JA = (
    "すみません、小さなデモモデルなので、それは分かりません。"
    "映画、首都、簡単な計算、turnstream について聞いてください。"
)
BRIEF_JA = "小さなデモモデルなので、分かりません。"

_PLACES = read_lines("unrelated/places.txt")
_FILMS = read_lines("unrelated/films.txt")
_ANIMALS = read_lines("unrelated/animals.txt")
_THINGS = read_lines("unrelated/things.txt")
_DEEDS = read_lines("unrelated/deeds.txt")
_TASKS = read_lines("unrelated/tasks.txt")
_QUESTIONS = read_lines("unrelated/questions.txt")
#: Grouped by pattern, so that a question with many choices is not drawn more often.
_QUESTIONS_JA = [spread(line) for line in read_lines("unrelated/questions_ja.txt")]
_THINGS_JA = read_lines("unrelated/things_ja.txt")
_PLACES_JA = read_lines("unrelated/places_ja.txt")
_FILMS_JA = read_lines("unrelated/films_ja.txt")
_PEOPLE_JA = read_lines("unrelated/people_ja.txt")
_FIRST_NAMES = read_lines("unrelated/first_names.txt")
#: Held out for the evaluation.
UNSEEN = tuple(read_lines("unrelated/unseen.txt"))

#: Syllables of made-up words; an ending may be empty.
_ONSETS = read_lines("unrelated/onsets.txt")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo", "ou")
_KATAKANA = (
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワ"
    "ガギグゲゴザジズダデドバビブベボパピプペポ"
)
_KATAKANA_ENDS = ("", "", "", "ー", "ン", "ッ", "ル")
_ENDS = ("", "", "", "n", "r", "l", "s", "t", "x", "nd", "st", "rk", "m", "ck")


def made_up_word(rng: Random) -> str:
    """Return a made-up word of one to three syllables."""
    syllables = rng.choice((1, 2, 2, 3))
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_ENDS) for _ in range(syllables)
    )


def made_up_word_ja(rng: Random) -> str:
    """Return a made-up word in katakana."""
    syllables = rng.choice((1, 2, 2, 3))
    return "".join(
        rng.choice(_KATAKANA) + rng.choice(_KATAKANA) + rng.choice(_KATAKANA_ENDS)
        for _ in range(syllables)
    ).rstrip("ッ")


def _name(rng: Random, known: list[str]) -> str:
    if rng.random() < 0.5:
        return rng.choice(known)
    words = [made_up_word(rng).capitalize() for _ in range(rng.choice((1, 1, 2)))]
    return ("The " if rng.random() < 0.15 else "") + " ".join(words)


def _fill(rng: Random, template: str) -> str:
    """Fill each field of a template with a separate draw."""
    animal = rng.choice(_ANIMALS) if rng.random() < 0.6 else made_up_word(rng)
    draws: dict[str, Callable[[], str]] = {
        "{thing}": lambda: rng.choice(_THINGS) if rng.random() < 0.7 else made_up_word(rng),
        "{deed}": lambda: rng.choice(_DEEDS),
        "{place}": lambda: _name(rng, _PLACES),
        "{film}": lambda: _name(rng, _FILMS),
        "{a_animal}": lambda: ("an " if animal[0] in "aeiou" else "a ") + animal,
        "{animal}": lambda: animal,
        "{person}": lambda: f"{rng.choice(_FIRST_NAMES)} {made_up_word(rng).capitalize()}",
        "{word}": lambda: made_up_word(rng),
        "{big}": lambda: str(rng.choice((rng.randint(21, 99), rng.randint(100, 9999)))),
        "{small}": lambda: str(rng.randint(2, 20)),
    }
    return _filled(template, draws)


def _fill_ja(rng: Random, template: str) -> str:
    def one_of(known: list[str]) -> str:
        return rng.choice(known) if rng.random() < 0.6 else made_up_word_ja(rng)

    return _filled(
        template,
        {
            "{thing}": lambda: one_of(_THINGS_JA),
            "{place}": lambda: one_of(_PLACES_JA),
            "{film}": lambda: one_of(_FILMS_JA),
            "{person}": lambda: one_of(_PEOPLE_JA),
            "{big}": lambda: str(rng.choice((rng.randint(21, 99), rng.randint(100, 9999)))),
        },
    )


def _filled(template: str, draws: Mapping[str, Callable[[], str]]) -> str:
    for field, draw in draws.items():
        while field in template:
            template = template.replace(field, draw(), 1)
    return template


def draw(rng: Random) -> Fact:
    """Draw one unrelated question, most of them in English."""
    if rng.random() < 0.25:
        question = _fill_ja(rng, rng.choice(rng.choice(_QUESTIONS_JA)))
        return _fact(question, ANSWER_JA, BRIEF_JA, PHRASE_JA)
    templates = _TASKS if rng.random() < 0.2 else _QUESTIONS
    return _fact(_fill(rng, rng.choice(templates)), ANSWER, BRIEF, PHRASE)


def _fact(question: str, answer: str, brief: str, phrase: str) -> Fact:
    return Fact(
        topic=TOPIC,
        asked=Wordings(seen=(question,)),
        answer=answer,
        brief=brief,
        phrase=phrase,
    )
