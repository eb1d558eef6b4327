"""Sixteen animals: what they are, what they eat, where they live, how many legs they have."""

from scripts.demo_model.fact import Aspect, Fact, Wordings, facts_of
from scripts.demo_model.reading import read_table

TOPIC = "animals"


def _inflected(fields: dict[str, str]) -> dict[str, str]:
    name = fields["name"]
    a = ("an " if name[0] in "aeiou" else "a ") + name
    many = name + "s"
    return fields | {
        "a": a,
        "A": a.capitalize(),
        "many": many,
        "Many": many.capitalize(),
        "Legs": fields["legs"].capitalize(),
    }


ANIMALS = [_inflected(row) for row in read_table("animals.txt")]

ASPECTS = (
    Aspect(
        name="what",
        asked=Wordings(
            seen=(
                "What is {a}?",
                "What kind of animal is {a}?",
                "Tell me about {many}.",
                "Tell me about the {name}.",
                "Do you know what {a} is?",
                "What are {many}?",
                "What do you know about {many}?",
                "Do you know {many}?",
                "Describe {a}.",
                "Explain what {a} is.",
                "I like {many}. What are they?",
            ),
            unseen=(
                "Can you tell me what {a} is?",
                "Tell me something about {many}.",
                "What sort of animal is {a}?",
            ),
        ),
        switch=Wordings(
            seen=("And {a}?", "What about {many}?", "And {many}?", "How about {a}?"),
            unseen=("And what about {many}?",),
        ),
        answer="{A} is a {what}.",
        brief="A {what}.",
        phrase="{what}",
    ),
    Aspect(
        name="food",
        asked=Wordings(
            seen=(
                "What does {a} eat?",
                "What do {many} eat?",
                "What is the food of {many}?",
                "What do {many} like to eat?",
                "Tell me what {many} eat.",
                "Which food does {a} eat?",
                "Do you know what {many} eat?",
                "What should I feed {a}?",
            ),
            unseen=("What kind of food do {many} eat?", "Can you tell me what {a} eats?"),
        ),
        again=Wordings(
            seen=(
                "What does it eat?",
                "What do they eat?",
                "What do they like to eat?",
                "Tell me what it eats.",
                "And its food?",
                "And what does it eat?",
                "Which food does it eat?",
            ),
            unseen=("What kind of food do they eat?", "And what do they eat?"),
        ),
        switch=Wordings(
            seen=("And {a}?", "What about {many}?", "And {many}?"),
            unseen=("And what about {many}?",),
        ),
        answer="{Many} eat {food}.",
        brief="{food}.",
        phrase="{food}",
    ),
    Aspect(
        name="home",
        asked=Wordings(
            seen=(
                "Where does {a} live?",
                "Where do {many} live?",
                "Where can I find {many}?",
                "What is the home of {many}?",
                "Tell me where {many} live.",
                "Where do you find {a}?",
                "Do you know where {many} live?",
            ),
            unseen=("In what place do {many} live?", "Can you tell me where {many} live?"),
        ),
        again=Wordings(
            seen=(
                "Where does it live?",
                "Where do they live?",
                "Where can I find them?",
                "Tell me where they live.",
                "And its home?",
                "And where does it live?",
            ),
            unseen=("And where do they live?", "Where can I find one?"),
        ),
        switch=Wordings(
            seen=("And {a}?", "What about {many}?", "And {many}?"),
            unseen=("And what about {many}?",),
        ),
        answer="{Many} live {home}.",
        brief="They live {home}.",
        phrase="live {home}",
    ),
    Aspect(
        name="legs",
        asked=Wordings(
            seen=(
                "How many legs does {a} have?",
                "How many legs do {many} have?",
                "How many legs has {a}?",
                "Tell me how many legs {a} has.",
                "Count the legs of {a}.",
                "Do you know how many legs {many} have?",
            ),
            unseen=("Can you tell me how many legs {a} has?", "What number of legs does {a} have?"),
        ),
        again=Wordings(
            seen=(
                "How many legs does it have?",
                "How many legs do they have?",
                "How many legs has it?",
                "And how many legs?",
                "Count its legs.",
            ),
            unseen=("And how many legs does it have?", "Tell me how many legs it has."),
        ),
        switch=Wordings(
            seen=("And {a}?", "What about {many}?", "And {many}?"),
            unseen=("And what about {many}?",),
        ),
        answer="{A} has {legs} legs.",
        brief="{Legs} legs.",
        phrase="{legs} legs",
    ),
)

FACTS: tuple[Fact, ...] = facts_of(TOPIC, ANIMALS, ASPECTS)
