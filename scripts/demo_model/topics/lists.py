"""Short lists and small texts that the model knows by heart."""

from scripts.demo_model.reading import read_facts

TOPIC = "lists and verses"

FACTS = read_facts(TOPIC, "lists.txt")
