"""Short lists and texts that the model learns word for word."""

from scripts.demo_model.reading import read_facts

TOPIC = "lists and verses"

FACTS = read_facts(TOPIC, "lists.txt")
