"""What `benchmarks.hostile` does to a server; each attack is a function of a `Target`."""
