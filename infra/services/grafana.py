"""Grafana: the pages over Prometheus and Elasticsearch. All that is in it comes from files; nothing is edited in it."""

from __future__ import annotations

import json

import pulumi

from infra.services.base import Container, Deployment, File, HealthCheck, Mount, Service, volume
from infra.services.elasticsearch import Elasticsearch
from infra.services.generator import Generator
from infra.services.prometheus import SCRAPE_SECONDS, Prometheus

PASSWORD_FILE = "/etc/lolstack/grafana-admin-password"
PROVISIONING = "/etc/grafana/provisioning"
DASHBOARDS = "/etc/lolstack/dashboards"


class Grafana(Service):
    """Grafana with data sources and dashboards; people sign in as `admin` with the stack's generated password."""

    def __init__(
        self,
        deployment: Deployment,
        prometheus: Prometheus,
        elasticsearch: Elasticsearch,
        generator: Generator | None,
        admin_password: pulumi.Output[str],
    ) -> None:
        from infra.grafana import dashboards  # its SDK is loaded only where there is a Grafana

        settings = deployment.settings
        data_sources = {
            "apiVersion": 1,
            "prune": True,  # what is no longer listed here is removed
            "datasources": [
                {
                    "uid": "prometheus",
                    "name": "Prometheus",
                    "type": "prometheus",
                    "access": "proxy",
                    "url": "http://prometheus:9090",
                    "isDefault": True,
                    "editable": False,
                    # No step is shorter than a scrape, and $__rate_interval is at least four of them.
                    "jsonData": {"httpMethod": "POST", "timeInterval": f"{SCRAPE_SECONDS}s"},
                },
                {
                    "uid": "elasticsearch",
                    "name": "Elasticsearch",
                    "type": "elasticsearch",
                    "access": "proxy",
                    "url": elasticsearch.hosts[0],
                    "editable": False,
                    "jsonData": {"index": "lol_matches_stream", "timeField": "@timestamp", "timeInterval": "10s"},
                },
            ],
        }
        dashboard_provider = {
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
        super().__init__(
            deployment,
            "grafana",
            Container(
                image="grafana",
                user="472:0",
                memory_mib=settings.grafana_memory,
                environment={
                    "GF_SECURITY_ADMIN_PASSWORD__FILE": PASSWORD_FILE,
                    "GF_USERS_ALLOW_SIGN_UP": "false",
                    "GF_ANALYTICS_REPORTING_ENABLED": "false",
                    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
                    "GF_PLUGINS_PREINSTALL_DISABLED": "true",  # it would download plugins at start
                },
                files=[
                    File(PASSWORD_FILE, admin_password),
                    File(f"{PROVISIONING}/datasources/lolstack.yaml", json.dumps(data_sources, indent=1)),
                    File(f"{PROVISIONING}/dashboards/lolstack.yaml", json.dumps(dashboard_provider, indent=1)),
                    *(
                        File(f"{DASHBOARDS}/{uid}.json", text)
                        for uid, text in dashboards(generator=generator is not None).items()
                    ),
                ],
                ports={3000: settings.grafana_port},
                mounts=[Mount(volume(deployment, "grafana"), "/var/lib/grafana")],
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/api/health"], limit_seconds=120
                ),
            ),
            after=[prometheus],
        )
