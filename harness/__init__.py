"""Shared by tests and benchmarks: a deployed stack, polling with a timeout, load generation, Kibana panel queries."""
