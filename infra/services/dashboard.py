"""The dashboard: pages with charts of the live data."""

from __future__ import annotations

from typing import Any

import pulumi

from infra import users
from infra.logins import OPERATOR, sha256, user_of
from infra.names import DASHBOARD_PORT, PROMETHEUS_PORT
from infra.services.base import ConfigFile, ContainerSpec, Deployment, HealthCheck, Service, yaml_text
from infra.services.elasticsearch import Elasticsearch
from infra.services.kafka import Kafka
from infra.services.prometheus import Prometheus
from job.settings import with_overrides

SETTINGS = "/etc/lolstack/dashboard.yaml"
AUTHORITY = "/etc/lolstack/elasticsearch-authority.crt"


class Dashboard(Service):
    """A Streamlit application that reads from Elasticsearch, Prometheus and the dead-letter topic.

    It waits for none of them, only for its user of Kafka: a page names a service that is away, and recovers by itself.
    """

    def __init__(
        self,
        deployment: Deployment,
        elasticsearch: Elasticsearch,
        prometheus: Prometheus,
        kafka: Kafka,
        kafka_users: pulumi.Resource,
    ) -> None:
        settings = deployment.settings
        login: dict[str, Any] = {}
        if prometheus.reader:
            login = {"username": user_of(prometheus.reader), "password": deployment.password(prometheus.reader)}
        sources: dict[str, Any] = {
            "stack": deployment.stack,
            "elasticsearch": {
                "url": elasticsearch.hosts[0],
                **elasticsearch.login("dashboard"),
                "ca_certificates": AUTHORITY if deployment.strict else "",
            },
            "prometheus": {"url": f"http://{prometheus.name}:{PROMETHEUS_PORT}", **login},
            "kafka": kafka.client_settings("dashboard"),
            "window_slide_seconds": with_overrides(settings.job).window.slide_seconds,
        }
        if deployment.strict:
            sources["login_sha256"] = deployment.password(OPERATOR).apply(lambda password: sha256(OPERATOR, password))
        super().__init__(
            deployment,
            "dashboard",
            ContainerSpec(
                image="dashboard",
                user=users.DASHBOARD,
                memory_mib=settings.dashboard_memory,
                command=["/opt/venv/bin/streamlit", "run", "dashboard/app.py"],
                environment={"LOLSTACK_DASHBOARD": SETTINGS},
                files=[
                    ConfigFile(SETTINGS, yaml_text(sources)),
                    *elasticsearch.authority_files(AUTHORITY),
                ],
                ports={DASHBOARD_PORT: settings.dashboard_port},
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{DASHBOARD_PORT}/_stcore/health"],
                    start_timeout_seconds=120,
                ),
            ),
            provisioned=[kafka_users],
        )
