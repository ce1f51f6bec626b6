"""The Spark Structured Streaming job: Match-V5 messages from Kafka → documents and statistics in Elasticsearch.

`driver/` runs in the Spark driver. `tasks/` runs in the Python workers of the executors, and `sinks/` has the clients
through which it writes to Elasticsearch and Kafka. The modules beside them are shared. `archive` and `backfill` are
separate processes.
"""

__version__ = "0.1.0"
