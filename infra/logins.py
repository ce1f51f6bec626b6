"""The logins of the stack's services, and the servers with TLS. Each login has a generated password.

A login's key is `service.user`. It has the least that its user needs.
"""

from __future__ import annotations

OPERATOR = "operator"
"""A person's read-only login, with the same password in all services."""

KAFKA_LOGINS: tuple[str, ...] = ()
ELASTICSEARCH_LOGINS: tuple[str, ...] = ()
CASSANDRA_LOGINS: tuple[str, ...] = ()
SPARK_LOGINS: tuple[str, ...] = ()
MONITORING_LOGINS: tuple[str, ...] = ()

LOGINS = (
    OPERATOR,
    *KAFKA_LOGINS,
    *ELASTICSEARCH_LOGINS,
    *CASSANDRA_LOGINS,
    *SPARK_LOGINS,
    *MONITORING_LOGINS,
)
"""The keys of all generated passwords."""

TLS_SERVERS: tuple[str, ...] = ("elasticsearch",)
"""The services that have a certificate."""
