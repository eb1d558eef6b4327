"""Makes docs/results.md from one run of everything that can be counted or measured."""
