"""Stories of several hundred tokens: long enough to cancel, to resume and to queue behind."""

from dataclasses import replace

from scripts.demo_model.reading import read_facts, read_text

TOPIC = "stories"

#: The answers in this file are the names of the files of the stories.
FACTS = tuple(
    replace(fact, answer=read_text(fact.answer)) for fact in read_facts(TOPIC, "stories.txt")
)
