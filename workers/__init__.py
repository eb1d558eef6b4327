"""Takes turns from the line, runs the model and writes what it says."""
