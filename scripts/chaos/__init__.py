"""A thousand turns under random faults; see `docs/reliability.md`."""
