"""Benchmarks of a stack: how fresh, how fast, beside what else one could have, and how both grow. `make bench`."""
