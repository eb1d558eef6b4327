"""Sums up to twenty, and an honest answer to larger ones.

Every sum occurs in the corpus; what the evaluation holds back is the wording.
"""

from scripts.demo_model.fact import Aspect, Fact, Wordings, facts_of
from scripts.demo_model.reading import read_lines

TOPIC = "arithmetic"

LIMIT = 20

_WORDS = read_lines("numbers.txt")


def _sum(a: int, b: int, word: str, sign: str, result: int) -> dict[str, str]:
    return {
        "name": f"{a} {word} {b}",
        "symbols": f"{a} {sign} {b}",
        "tight": f"{a}{sign}{b}",
        "spoken": f"{_WORDS[a]} {word} {_WORDS[b]}",
        "result": str(result),
    }


SUMS = (
    tuple(_sum(a, b, "plus", "+", a + b) for a in range(LIMIT + 1) for b in range(LIMIT + 1 - a))
    + tuple(_sum(a, b, "minus", "-", a - b) for a in range(LIMIT + 1) for b in range(a + 1))
    + tuple(
        _sum(a, b, "times", "*", a * b)
        for a in range(1, 11)
        for b in range(1, 11)
        if a * b <= LIMIT
    )
)

ASPECTS = (
    Aspect(
        name="sum",
        asked=Wordings(
            seen=(
                "What is {name}?",
                "What is {symbols}?",
                "What is {tight}?",
                "What is {spoken}?",
                "How much is {name}?",
                "How much is {symbols}?",
                "{name}?",
                "{symbols}",
                "{symbols} =",
                "{symbols} = ?",
                "{tight}",
                "{tight}=?",
                "{spoken}?",
                "Calculate {symbols}.",
                "Calculate {name}.",
                "Compute {symbols}.",
                "Can you calculate {name}?",
                "Do you know what {name} is?",
                "Tell me what {symbols} is.",
                "What do you get for {symbols}?",
                "What does {symbols} make?",
                "How much is {spoken}?",
            ),
            unseen=(
                "Can you tell me what {name} is?",
                "What does {name} make?",
                "Please compute {name}.",
                "How much does {symbols} make?",
            ),
        ),
        switch=Wordings(
            seen=("And {name}?", "And {symbols}?", "What about {name}?", "Now {symbols}."),
            unseen=("And what about {name}?",),
        ),
        answer="{name} is {result}.",
        brief="{result}.",
        phrase="is {result}.",
    ),
)

FACTS: tuple[Fact, ...] = facts_of(TOPIC, SUMS, ASPECTS)
