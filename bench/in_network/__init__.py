"""Benchmark programs that run inside the stack's network, in a container from the job's image (bench_container.py).

They import nothing but that image's packages and the job's own code.
"""
