"""Files and batches: many requests at once, answered when no other turn waits."""
