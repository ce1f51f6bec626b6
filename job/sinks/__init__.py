"""The sinks that tasks write to: Elasticsearch and the dead-letter topic."""
