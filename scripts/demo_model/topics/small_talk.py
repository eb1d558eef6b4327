"""Greetings, politeness, and questions about the model itself."""

from scripts.demo_model.reading import read_facts

TOPIC = "small talk"

#: What the answer to a pronoun without a subject contains.
UNCLEAR = "Which one do you mean"

FACTS = read_facts(TOPIC, "small_talk.txt")
