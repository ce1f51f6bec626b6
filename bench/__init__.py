"""Benchmarks of a stack: freshness (end-to-end latency), throughput, alternatives, scaling, memory. `make bench`."""
