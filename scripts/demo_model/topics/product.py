"""How turnstream works, in the words a newcomer asks about it."""

from scripts.demo_model.reading import read_facts

TOPIC = "turnstream"

FACTS = read_facts(TOPIC, "turnstream.txt")
