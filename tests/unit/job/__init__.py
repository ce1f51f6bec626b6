"""Tests of the job that need no Docker: pure functions, sinks against fakes, and Spark in local mode."""
