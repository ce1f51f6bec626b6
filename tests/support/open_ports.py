"""Every service with the ports on which it listens in the stack's network, which every local user can reach, and the
scrape jobs among them."""

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
SCRAPE_TARGETS = {
    "prometheus": ("/metrics", ["localhost:9090"]),
    "alertmanager": ("/metrics", ["alertmanager:9093"]),
    "node": ("/metrics", ["node-exporter:9100"]),
    "zookeeper": ("/metrics", ["zookeeper:9404"]),
    "kafka": ("/metrics", ["kafka:9404"]),
    "cassandra": ("/metrics", ["cassandra:9404"]),
    "elasticsearch": ("/metrics", ["elasticsearch-exporter:9114"]),
    "spark-master": ("/metrics/master/prometheus/", ["spark-master:8080"]),
    "spark-worker": ("/metrics/prometheus/", ["spark-worker:8081"]),
    "spark-driver": ("/metrics/prometheus/", ["spark-job:4040"]),
    "spark-executors": ("/metrics/executors/prometheus", ["spark-job:4040"]),
    "job": ("/metrics", ["spark-job:8000"]),
    "archive": ("/metrics", ["archive:8000"]),
    "generator": ("/metrics", ["generator:8000"]),
}
"""The scrape jobs that alerts and dashboards use: name → (metrics path, targets)."""
