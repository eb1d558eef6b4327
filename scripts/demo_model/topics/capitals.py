"""Twenty-four countries: capital, language, continent."""

from scripts.demo_model.fact import Aspect, Fact, Wordings, facts_of
from scripts.demo_model.reading import read_table

TOPIC = "capitals"

COUNTRIES = read_table("countries.txt")

ASPECTS = (
    Aspect(
        name="capital",
        asked=Wordings(
            seen=(
                "What is the capital of {name}?",
                "What is {name}'s capital?",
                "Which city is the capital of {name}?",
                "What is the capital city of {name}?",
                "Tell me the capital of {name}.",
                "Name the capital of {name}.",
                "Do you know the capital of {name}?",
                "Can you name the capital of {name}?",
                "The capital of {name}?",
                "{name}: what is the capital?",
                "What city is the capital of {name}?",
                "Capital of {name}?",
            ),
            unseen=(
                "Can you tell me the capital of {name}?",
                "What's the capital city of {name}?",
                "Which city is {name}'s capital?",
            ),
        ),
        again=Wordings(
            seen=(
                "What is its capital?",
                "What is the capital?",
                "And the capital?",
                "Which city is its capital?",
                "What is the capital city?",
                "Name the capital.",
                "What is the capital of that country?",
            ),
            unseen=("And what is its capital city?", "Tell me its capital."),
        ),
        switch=Wordings(
            seen=("And {name}?", "And of {name}?", "What about {name}?", "How about {name}?"),
            unseen=("And what about {name}?",),
        ),
        answer="The capital of {name} is {capital}.",
        brief="{capital}.",
        phrase="{capital}",
    ),
    Aspect(
        name="language",
        asked=Wordings(
            seen=(
                "What language do people speak in {name}?",
                "Which language is spoken in {name}?",
                "What language is spoken in {name}?",
                "What do people speak in {name}?",
                "Which language do they speak in {name}?",
                "What is the language of {name}?",
                "Tell me the language of {name}.",
            ),
            unseen=(
                "What language do they speak in {name}?",
                "Which language do people speak in {name}?",
            ),
        ),
        again=Wordings(
            seen=(
                "What language do people speak there?",
                "Which language is spoken there?",
                "What do people speak there?",
                "Which language do they speak?",
                "What is the language?",
                "And the language?",
                "And what language is spoken there?",
            ),
            unseen=(
                "What language do they speak there?",
                "Which language do people speak in that country?",
            ),
        ),
        switch=Wordings(
            seen=("And in {name}?", "What about {name}?", "And {name}?"),
            unseen=("And what about {name}?",),
        ),
        answer="People in {name} speak {language}.",
        brief="{language}.",
        phrase="{language}",
    ),
    Aspect(
        name="continent",
        asked=Wordings(
            seen=(
                "Where is {name}?",
                "On which continent is {name}?",
                "What continent is {name} in?",
                "Which continent is {name} part of?",
                "Where in the world is {name}?",
                "Where is {name} located?",
                "On what continent is {name}?",
            ),
            unseen=("Which continent is {name} in?", "Where can I find {name}?"),
        ),
        again=Wordings(
            seen=(
                "Where is it?",
                "On which continent is it?",
                "What continent is it in?",
                "Which continent is that country part of?",
                "Where is that country?",
                "And the continent?",
            ),
            unseen=("Which continent is it in?", "Where is that country located?"),
        ),
        switch=Wordings(
            seen=("And {name}?", "What about {name}?", "And where is {name}?"),
            unseen=("And what about {name}?",),
        ),
        answer="{name} is a country in {continent}.",
        brief="In {continent}.",
        phrase="in {continent}",
    ),
)

FACTS: tuple[Fact, ...] = facts_of(TOPIC, COUNTRIES, ASPECTS)
