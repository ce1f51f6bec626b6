"""What tests and benchmarks share: a stack under test, waiting, load."""
