"""Sinks: Elasticsearch and the dead-letter topic."""
