"""The ports on which each service listens in the stack's network, which every local user can reach."""

JMX_EXPORTER = 9404
LISTENERS = {
    "zookeeper": {2181, JMX_EXPORTER},
    "kafka": {9092, 29092, JMX_EXPORTER},
    "elasticsearch": {9200},
    "cassandra": {9042, JMX_EXPORTER},
    "spark-master": {7077, 8080},
    "spark-worker": {8081},
    "spark-job": {4040, 8000},
    "archive": {8000},
    "generator": {8000},
    "dashboard": {8501},
    "prometheus": {9090},
    "alertmanager": {9093},
    "elasticsearch-exporter": {9114},
    "node-exporter": {9100},
    "kibana": {5601},
    "grafana": {3000},
}
"""The ports of docs/operations.md that are open to the stack's network, by service."""
