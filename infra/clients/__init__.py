"""Clients of the services: Kafka, Elasticsearch, Kibana, Cassandra, Prometheus, and the Docker Engine."""
