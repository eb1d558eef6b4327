"""Questions of newcomers about how turnstream works."""

from scripts.demo_model.reading import read_facts

TOPIC = "turnstream"

FACTS = read_facts(TOPIC, "turnstream.txt")
