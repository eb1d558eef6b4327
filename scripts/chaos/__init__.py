"""Turns by the thousand while everything around them breaks; see `docs/reliability.md`."""
