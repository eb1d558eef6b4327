"""Files and batches: many requests at once, answered when nobody else waits."""
