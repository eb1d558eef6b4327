"""Draws the conversations of the corpus from the facts; equal seeds give equal conversations.

A wording of the evaluation is never drawn, neither as a variation nor as a part of a question.
"""

from dataclasses import dataclass
from random import Random

from scripts.demo_model.fact import Fact
from scripts.demo_model.known import FACTS
from scripts.demo_model.manner import Manner, System, answer_to, draw_system
from scripts.demo_model.topics import (
    animals,
    arithmetic,
    capitals,
    films,
    japanese,
    japanese_sums,
    lists,
    product,
    small_talk,
    stories,
    unknown,
)
from scripts.demo_model.wording import normalised, phrases, vary

#: Weights of the topics at the beginning of a conversation and at a change of subject.
_SHARES = {
    films.TOPIC: 18,
    unknown.TOPIC: 18,
    arithmetic.TOPIC: 18,
    small_talk.TOPIC: 13,
    capitals.TOPIC: 11,
    animals.TOPIC: 10,
    product.TOPIC: 10,
    japanese.TOPIC: 17,
    japanese_sums.TOPIC: 4,
    lists.TOPIC: 5,
}
#: The film of the project's example conversation is drawn more often than others.
_FAVOURITE = "Titanic"

#: Numbers of turns in a conversation, and their weights.
_LENGTHS, _LENGTH_SHARES = (1, 2, 3, 4, 5), (52, 19, 17, 8, 4)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer."""

    question: str
    answer: str
    #: False for an answer that was cut off: it is context, but not learnt.
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of a conversation, and its system text."""

    system: System
    turns: tuple[Turn, ...]


def unseen_wordings() -> frozenset[str]:
    """Return all wordings of the evaluation, normalised."""
    known = (
        wording
        for facts in FACTS.values()
        for fact in facts
        for wording in (*fact.asked.unseen, *fact.again.unseen, *fact.switch.unseen)
    )
    return frozenset(map(normalised, [*known, *unknown.UNSEEN]))


class Corpus:
    """Draws conversations."""

    def __init__(self) -> None:
        self._unseen = unseen_wordings()
        self._by_subject: dict[tuple[str, str], list[Fact]] = {}
        self._by_aspect: dict[tuple[str, str], list[Fact]] = {}
        for facts in FACTS.values():
            for fact in facts:
                self._by_subject.setdefault((fact.topic, fact.subject), []).append(fact)
                self._by_aspect.setdefault((fact.topic, fact.aspect), []).append(fact)

    def draw(self, rng: Random) -> Conversation:
        """Draw a conversation of one to five turns, without a long story."""
        turns = rng.choices(_LENGTHS, _LENGTH_SHARES)[0]
        return self.converse(rng, draw_system(rng), turns)

    def draw_story(self, rng: Random) -> Conversation:
        """Draw a conversation that ends in a long story."""
        system = draw_system(rng)
        while system.manner is not Manner.PLAIN:
            system = draw_system(rng)
        before = self.converse(rng, system, rng.choice((0, 0, 0, 1, 2))).turns
        fact = rng.choice(FACTS[stories.TOPIC])
        turn = Turn(self._ask(rng, fact.asked.seen), answer_to(fact, Manner.PLAIN))
        return Conversation(system, (*before, turn))

    def draw_long(self, rng: Random) -> Conversation:
        """Draw a conversation of many turns."""
        return self.converse(rng, draw_system(rng), rng.randint(6, 14))

    def converse(self, rng: Random, system: System, length: int) -> Conversation:
        turns: list[Turn] = []
        #: The fact that "it" refers to, if there is one.
        last: Fact | None = None
        for n in range(length):
            fact, question = self._next(rng, system, last)
            if fact.subject:
                last = fact
            answer = answer_to(fact, system.manner)
            if n < length - 1 and rng.random() < 0.03:
                words = answer.split(" ")
                cut = " ".join(words[: rng.randrange(len(words))])
                turns.append(Turn(question, cut, complete=False))
            else:
                turns.append(Turn(question, answer))
        return Conversation(system, tuple(turns))

    def _next(self, rng: Random, system: System, last: Fact | None) -> tuple[Fact, str]:
        """Choose the next fact and a wording of its question."""
        if last is not None and rng.random() < 0.75:
            if rng.random() < 0.25:
                others = self._by_aspect[last.topic, last.aspect]
                fact = rng.choice(others)
                if fact.switch.seen and fact.subject != last.subject:
                    return fact, self._ask(rng, fact.switch.seen)
            same = [f for f in self._by_subject[last.topic, last.subject] if f.again.seen]
            if same:
                fact = rng.choice(same)
                wordings = fact.again.seen if rng.random() < 0.8 else fact.asked.seen
                return fact, self._ask(rng, wordings)
        fact = self._fresh(rng, system)
        while last is not None and fact.phrase in (small_talk.UNCLEAR, japanese.UNCLEAR):
            fact = self._fresh(rng, system)
        return fact, self._ask(rng, fact.asked.seen)

    def _fresh(self, rng: Random, system: System) -> Fact:
        """Choose a fact that needs no earlier turn."""
        topic = rng.choices(list(_SHARES), list(_SHARES.values()))[0]
        if topic == unknown.TOPIC:
            return self._unknown(rng)
        if topic == lists.TOPIC and system.manner is not Manner.PLAIN and rng.random() < 0.2:
            return rng.choice(FACTS[stories.TOPIC])
        if topic == films.TOPIC and rng.random() < 0.12:
            return rng.choice(self._by_subject[topic, _FAVOURITE])
        return rng.choice(FACTS[topic])

    def _unknown(self, rng: Random) -> Fact:
        while self._is_held_back((fact := unknown.draw(rng)).asked.seen[0]):
            pass
        return fact

    def _ask(self, rng: Random, wordings: tuple[str, ...]) -> str:
        """Choose a wording and vary it, until it contains none of the evaluation."""
        while True:
            question = vary(rng, rng.choice(wordings))
            if not self._is_held_back(question):
                return question

    def _is_held_back(self, question: str) -> bool:
        return not self._unseen.isdisjoint(phrases(question))
