"""Writes the table of docs/models.md from a run of the tests that are marked `model_cell`."""
