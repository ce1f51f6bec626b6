"""The Spark Structured Streaming job: Match-V5 messages from Kafka → documents and statistics in Elasticsearch."""

__version__ = "0.1.0"
