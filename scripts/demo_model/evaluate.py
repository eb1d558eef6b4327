"""Scores the shipped demo model on held-out wordings, and prints a table by topic.

    python -m scripts.demo_model.evaluate

An answer is right if it contains the expected phrase and was not cut off. If a system text asks for
a style, or tools are called or were, it must be exactly the expected answer.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.demo_model.answering import Answerer
from scripts.demo_model.corpus import Conversation, Turn
from scripts.demo_model.manner import DEFAULT
from scripts.demo_model.questions import (
    SEED_CONVERSATIONS,
    SEED_PHRASES,
    Question,
    questions,
)
from scripts.demo_model.tool_questions import EXACT, tool_questions
from scripts.demo_model.topics import stories

_STORY_TOKENS = 800
_ANSWER_TOKENS = 160


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one group of questions."""

    group: str
    right: int
    asked: int


def is_right(question: Question, answer: str) -> bool:
    """Return whether an answer is right."""
    if question.group.startswith(("system text", EXACT)):
        return answer == question.phrase
    return question.phrase in answer and not answer.endswith("✂")


def ask_all(answerer: Answerer, asked: Sequence[Question]) -> list[tuple[Question, str]]:
    """Answer every question, those with long answers separately."""
    long = [question for question in asked if question.group == stories.TOPIC]
    short = [question for question in asked if question.group != stories.TOPIC]
    answers = answerer.answer([q.conversation for q in short], most_tokens=_ANSWER_TOKENS)
    answers += answerer.answer([q.conversation for q in long], most_tokens=_STORY_TOKENS)
    return list(zip([*short, *long], answers, strict=True))


def talk(answerer: Answerer, asked: Sequence[str]) -> list[str]:
    """Return the answers of a conversation with the model's own answers as history."""
    turns: list[Turn] = []
    for question in asked:
        open_turn = Turn(question, "")
        conversation = Conversation(DEFAULT, (*turns, open_turn))
        answer = answerer.answer([conversation], most_tokens=_ANSWER_TOKENS)[0]
        turns.append(Turn(question, answer))
    return [turn.answer for turn in turns]


def scores_of(answered: Sequence[tuple[Question, str]]) -> list[Score]:
    """Return the scores by group, in the order of first appearance."""
    groups: dict[str, list[bool]] = {}
    for question, answer in answered:
        groups.setdefault(question.group, []).append(is_right(question, answer))
    return [Score(group, sum(rights), len(rights)) for group, rights in groups.items()]


def table(scores: Sequence[Score]) -> str:
    """Return scores as a Markdown table."""
    lines = ["| asked about | right | of | share |", "|---|---:|---:|---:|"]
    lines += [
        f"| {score.group} | {score.right} | {score.asked} | {score.right / score.asked:.0%} |"
        for score in scores
    ]
    right, asked = sum(s.right for s in scores), sum(s.asked for s in scores)
    return "\n".join([*lines, f"| **all** | {right} | {asked} | **{right / asked:.1%}** |"])


def main() -> None:
    """Score the model and print the table."""
    parser = argparse.ArgumentParser(description="Score the demo model.")
    parser.add_argument("--model", type=Path, default=Path("workers/demo"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--wrong", action="store_true", help="print the wrong answers too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    answerer = Answerer(args.model, getattr(torch, args.dtype))
    asked = questions()
    answered = ask_all(answerer, [*asked, *tool_questions(asked)])
    talks = [talk(answerer, asked) for asked in SEED_CONVERSATIONS]
    found = [
        phrase in answer
        for answers in talks
        for phrase, answer in zip(SEED_PHRASES, answers, strict=True)
    ]
    seed_score = Score("the Titanic conversation, own answers as history", sum(found), len(found))
    print(table([*scores_of(answered), seed_score]))
    if args.wrong:
        for question, answer in answered:
            if not is_right(question, answer):
                turns = question.conversation.turns
                print(f"{question.group}: {turns[-1].question!r}\n   said {answer[:200]!r}")
                print(f"   for  {question.phrase[:200]!r}")


if __name__ == "__main__":
    main()
