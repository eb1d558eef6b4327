"""Workers: claim turns from the queue, run the model and write its answers to the log."""
