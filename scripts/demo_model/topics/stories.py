"""Stories of several hundred tokens: long enough to stop, to resume, and to make others wait."""

from dataclasses import replace

from scripts.demo_model.reading import read_facts, read_text

TOPIC = "stories"

#: In their file, the answers are the names of the stories' own files.
FACTS = tuple(
    replace(fact, answer=read_text(fact.answer)) for fact in read_facts(TOPIC, "stories.txt")
)
