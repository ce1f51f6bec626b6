"""Grafana: dashboards over Prometheus and Elasticsearch, provisioned from files and read-only."""

from __future__ import annotations

from typing import Any

from infra import users
from infra.logins import user_of
from infra.names import GRAFANA_PORT, HOST_ADDRESS, MATCHES_ALIAS, PROMETHEUS_PORT, SCRAPE_SECONDS, container_name
from infra.services import file_text
from infra.services.base import (
    GROUP_ONLY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    Service,
    yaml_text,
)
from infra.services.elasticsearch import Elasticsearch
from infra.services.generator import Generator
from infra.services.prometheus import Prometheus

PASSWORD_FILE = "/etc/lolstack/grafana-admin-password"
PROVISIONING = "/etc/grafana/provisioning"
DASHBOARDS = "/etc/lolstack/dashboards"
DATA = "/var/lib/grafana"
START_SCRIPT = "/etc/lolstack/start_grafana.sh"

DASHBOARD_PROVIDER = {
    "apiVersion": 1,
    "providers": [
        {
            "name": "lolstack",
            "folder": "lolstack",
            "type": "file",
            "allowUiUpdates": False,
            "options": {"path": DASHBOARDS},
        }
    ],
}


class Grafana(Service):
    """Grafana with data sources and dashboards. Users sign in as `admin`; in `guarded`, reading needs no login."""

    def __init__(
        self,
        deployment: Deployment,
        prometheus: Prometheus,
        elasticsearch: Elasticsearch,
        generator: Generator | None,
    ) -> None:
        from infra.grafana import dashboards  # only here: the SDK is loaded only where Grafana is deployed

        settings = deployment.settings
        data_sources = _data_sources(deployment, prometheus, elasticsearch)
        super().__init__(
            deployment,
            "grafana",
            ContainerSpec(
                image="grafana",
                user=users.GRAFANA,
                memory_mib=settings.grafana_memory,
                entrypoint=["sh", START_SCRIPT, f"{DATA}/grafana.db", PASSWORD_FILE, "/run.sh"],
                environment={
                    "GF_SERVER_ROOT_URL": f"http://{HOST_ADDRESS}:{deployment.host_port(settings.grafana_port)}/",
                    "GF_SECURITY_ADMIN_PASSWORD__FILE": PASSWORD_FILE,
                    "GF_METRICS_ENABLED": "false",  # Prometheus does not scrape them, and they need no login
                    "GF_USERS_ALLOW_SIGN_UP": "false",
                    "GF_AUTH_ANONYMOUS_ENABLED": "false" if deployment.strict else "true",
                    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                    "GF_NEWS_NEWS_FEED_ENABLED": "false",
                    "GF_SECURITY_DISABLE_GRAVATAR": "true",
                    # A browser sends a cookie to all ports of a host, and so to the Grafana of each stack.
                    "GF_AUTH_LOGIN_COOKIE_NAME": container_name(deployment.stack, "grafana"),
                    "GF_ANALYTICS_REPORTING_ENABLED": "false",
                    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                    "GF_PLUGINS_PREINSTALL_DISABLED": "true",  # preinstalled plugins would be downloaded at start
                },
                files=[
                    ConfigFile(START_SCRIPT, file_text("start_grafana.sh")),
                    ConfigFile(PASSWORD_FILE, deployment.password("grafana.admin"), GROUP_ONLY),
                    ConfigFile(f"{PROVISIONING}/datasources/lolstack.yaml", yaml_text(data_sources), GROUP_ONLY),
                    ConfigFile(f"{PROVISIONING}/dashboards/lolstack.yaml", yaml_text(DASHBOARD_PROVIDER)),
                    *(
                        ConfigFile(f"{DASHBOARDS}/{uid}.json", text)
                        for uid, text in dashboards(generator=generator is not None).items()
                    ),
                ],
                ports={GRAFANA_PORT: settings.grafana_port},
                mounts=[Mount("grafana", DATA)],
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{GRAFANA_PORT}/api/health"],
                    start_timeout_seconds=120,
                ),
            ),
            depends_on=[prometheus],
        )


def _data_sources(deployment: Deployment, prometheus: Prometheus, elasticsearch: Elasticsearch) -> dict[str, Any]:
    """Prometheus and Elasticsearch, with Grafana's logins."""
    login = elasticsearch.login("grafana")
    prometheus_login = (
        {
            "basicAuth": True,
            "basicAuthUser": user_of(prometheus.reader),
            "secureJsonData": {"basicAuthPassword": deployment.password(prometheus.reader)},
        }
        if prometheus.reader
        else {}
    )
    return {
        "apiVersion": 1,
        "prune": True,  # removes data sources that are no longer listed
        "datasources": [
            {
                "uid": "prometheus",
                "name": "Prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": f"http://{prometheus.name}:{PROMETHEUS_PORT}",
                **prometheus_login,
                "isDefault": True,
                "editable": False,
                # The shortest step is one scrape interval; $__rate_interval is then at least four of them.
                "jsonData": {"httpMethod": "POST", "timeInterval": f"{SCRAPE_SECONDS}s"},
            },
            {
                "uid": "elasticsearch",
                "name": "Elasticsearch",
                "type": "elasticsearch",
                "access": "proxy",
                "url": elasticsearch.hosts[0],
                "editable": False,
                "basicAuth": True,
                "basicAuthUser": login["username"],
                "jsonData": {
                    "index": MATCHES_ALIAS,
                    "timeField": "@timestamp",
                    "timeInterval": "10s",
                    "tlsAuthWithCACert": deployment.strict,
                },
                "secureJsonData": {
                    "basicAuthPassword": login["password"],
                    "tlsCACert": elasticsearch.ca_certificate,
                },
            },
        ],
    }
