"""The logins of the stack's services, and the servers with TLS. Each login has a generated password.

A login's key is `service.user`. It has the least that its user needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

from job.kafka_client import KafkaClientSettings

ALERTMANAGER_SENDER = "alertmanager.prometheus"
"""Prometheus, which sends alerts to Alertmanager and scrapes it."""
PROMETHEUS_READER = "prometheus.reader"
"""Queries Prometheus where that needs a login: the dashboard, Grafana, the tools, its own scrape and health check."""
CASSANDRA_ADMIN = "cassandra.lol_admin"
CASSANDRA_ARCHIVE = "cassandra.lol_archive"
"""Writes the archive's table."""
SPARK_CLUSTER = "spark.cluster"
"""The secret that Spark's processes share."""
MONITOR = "metrics.monitor"
"""Reads metrics and Spark's pages where they need a login: Prometheus and the health checks."""
OPERATOR = "operator"
"""A person's read-only login, with the same password in all services."""

KAFKA_LOGINS = (
    "zookeeper.kafka",
    *(f"kafka.{user}" for user in ("admin", "job", "archive", "generator", "producer", "dashboard")),
)
"""ZooKeeper's only user, and the users of Kafka, whose ACLs are in infra/kafka_acls.py."""
KAFKA_SECURITY_PROTOCOL = "SASL_PLAINTEXT"
KAFKA_MECHANISM = "SCRAM-SHA-512"
"""How clients log in to Kafka."""
KAFKA_ITERATIONS = 4096
"""Iterations of the password's hash, Kafka's minimum: more would not make random passwords safer."""
ELASTICSEARCH_ROLES = {
    "admin": "superuser",  # provisioning, and a person who repairs something
    "job": "lol_job",
    OPERATOR: "lol_reader",
    "exporter": "lol_exporter",
    "dashboard": "lol_dashboard",
    "lol_kibana": "kibana_system",  # `kibana` is a reserved name
    "grafana": "lol_reader",
}
"""The role of each of Elasticsearch's users: built in, or in services/files/roles.yml."""
ELASTICSEARCH_LOGINS = tuple(f"elasticsearch.{user}" for user in ELASTICSEARCH_ROLES if user != OPERATOR)
GRAFANA_LOGINS = ("grafana.admin",)
KIBANA_KEYS = ("kibana.security", "kibana.encryptedSavedObjects", "kibana.reporting")
"""Secrets with which Kibana's plugins of these names encrypt: sessions, attributes of saved objects, reports."""
CASSANDRA_LOGINS = (CASSANDRA_ADMIN, CASSANDRA_ARCHIVE)
SPARK_LOGINS = (SPARK_CLUSTER,)
MONITORING_LOGINS = (MONITOR, ALERTMANAGER_SENDER, PROMETHEUS_READER)

LOGINS = (
    OPERATOR,
    *KAFKA_LOGINS,
    *ELASTICSEARCH_LOGINS,
    *GRAFANA_LOGINS,
    *KIBANA_KEYS,
    *CASSANDRA_LOGINS,
    *SPARK_LOGINS,
    *MONITORING_LOGINS,
)
"""The keys of all generated passwords."""

CERTIFICATE_RENEWAL = timedelta(days=60)
"""Certificates that expire within this time are renewed at the next `pulumi up`."""
TLS_SERVERS = ("elasticsearch",)
"""The services that have a certificate."""


def login_of(service: str, user: str) -> str:
    """The key of a user's login at a service."""
    return user if user == OPERATOR else f"{service}.{user}"


def kafka_client_settings(servers: str, user: str, password: str) -> KafkaClientSettings:
    """A client's settings with the login of a user of the stack."""
    return KafkaClientSettings(servers, KAFKA_SECURITY_PROTOCOL, KAFKA_MECHANISM, user, password)


def properties(settings: Mapping[str, str]) -> str:
    """A client's settings as the text of a properties file."""
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def curl_login(user: str, password: str) -> str:
    """A login as a line of curl's configuration (`-K`)."""
    return f'user = "{user}:{password}"\n'


def sha256(user: str, password: str) -> str:
    """The hash of a login, for what only checks it. A fast one is enough for passwords that nobody can guess."""
    return hashlib.sha256(f"{user}:{password}".encode()).hexdigest()


def user_of(login: str) -> str:
    """The name that a client of the service gives."""
    return login.rpartition(".")[2]
