"""The questions of the evaluation: held-out wordings, and the phrase of a right answer."""

from dataclasses import dataclass
from random import Random

from scripts.demo_model.corpus import Conversation, Turn
from scripts.demo_model.fact import Fact
from scripts.demo_model.known import FACTS
from scripts.demo_model.manner import DEFAULT, UNSEEN, System, answer_to
from scripts.demo_model.topics import japanese, japanese_sums, stories, unknown

#: The project's example conversation in several wordings, and the phrases of right answers.
SEED_CONVERSATIONS = (
    ("do you know the movie Titanic", "who is the director", "who starred in it"),
    (
        "Do you know the Titanic movie?",
        "Who is the director of the movie?",
        "Who are the main actors?",
    ),
    (
        "Hello! Have you ever heard of the film Titanic?",
        "And who directed that movie?",
        "And who played in that film?",
    ),
    (
        "Are you familiar with the movie Titanic?",
        "Who was it directed by?",
        "Which actors starred in the movie?",
    ),
    (
        "Tell me something about the movie Titanic.",
        "What's the name of its director?",
        "Can you tell me who starred in it?",
    ),
)
SEED_PHRASES = ("1997", "James Cameron", "Leonardo DiCaprio and Kate Winslet")

#: The most questions of one kind.
_MOST = 150


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation; the model answers its last question."""

    #: A row of the table.
    group: str
    #: The answer of its last turn is that of the corpus.
    conversation: Conversation
    phrase: str


def questions(seed: int = 0) -> list[Question]:
    """Draw the questions; equal seeds give equal questions."""
    rng = Random(seed)
    asked: list[Question] = []
    for topic, facts in FACTS.items():
        asked += _sample(rng, [q for fact in facts for q in _alone(topic, fact)])
    for facts in FACTS.values():
        asked += _sample(rng, [q for fact in facts for q in _follow_ups(rng, fact, facts)])
    asked += [
        Question(unknown.TOPIC, _one(DEFAULT, text, unknown.ANSWER), _honest(text))
        for text in unknown.UNSEEN
    ]
    asked += _manners(rng)
    return asked


def _honest(question: str) -> str:
    return unknown.PHRASE if question.isascii() else unknown.PHRASE_JA


def _one(system: System, question: str, answer: str) -> Conversation:
    return Conversation(system, (Turn(question, answer),))


def _alone(topic: str, fact: Fact) -> list[Question]:
    return [
        Question(topic, _one(DEFAULT, wording, fact.answer), fact.phrase)
        for wording in fact.asked.unseen
    ]


def _follow_ups(rng: Random, fact: Fact, facts: tuple[Fact, ...]) -> list[Question]:
    """Ask with a pronoun after another question about the same subject."""
    others = [
        other for other in facts if other.subject == fact.subject and other.aspect != fact.aspect
    ]
    asked = []
    for wording in fact.again.unseen:
        before = rng.choice(others)
        turns = (
            Turn(rng.choice(before.asked.seen), before.answer),
            Turn(wording, fact.answer),
        )
        asked.append(
            Question(f"{fact.topic}, follow-up", Conversation(DEFAULT, turns), fact.phrase)
        )
    return asked


def _manners(rng: Random) -> list[Question]:
    """Ask for short and for upper-case answers with held-out system texts."""
    asked = []
    for system in UNSEEN:
        for topic, facts in FACTS.items():
            if topic in (stories.TOPIC, japanese.TOPIC, japanese_sums.TOPIC):
                continue
            for fact in rng.sample(facts, 3):
                if fact.phrase and fact.asked.unseen:
                    answer = answer_to(fact, system.manner)
                    conversation = _one(system, rng.choice(fact.asked.seen), answer)
                    asked.append(Question(f"system text: {system.manner}", conversation, answer))
    return asked


def _sample(rng: Random, asked: list[Question]) -> list[Question]:
    return rng.sample(asked, _MOST) if len(asked) > _MOST else asked
