"""`turnstream loadtest`: people who arrive, talk and think, and whether each got every word."""
