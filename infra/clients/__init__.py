"""Clients of the services: Kafka, Elasticsearch, Kibana, Prometheus, and the Docker Engine."""
