"""Grafana: the pages over Prometheus."""

from __future__ import annotations

import json

import pulumi

from service import Container, Deployment, File, HealthCheck, Mount, Service, volume
from services.prometheus import Prometheus

PASSWORD_FILE = "/etc/lolstack/grafana-admin-password"


class Grafana(Service):
    """Grafana with Prometheus as its data source; people sign in as `admin` with the stack's generated password."""

    def __init__(self, deployment: Deployment, prometheus: Prometheus, admin_password: pulumi.Output[str]) -> None:
        settings = deployment.settings
        data_source = {
            "apiVersion": 1,
            "datasources": [
                {
                    "uid": "prometheus",
                    "name": "Prometheus",
                    "type": "prometheus",
                    "access": "proxy",
                    "url": "http://prometheus:9090",
                    "isDefault": True,
                    "editable": False,
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
                    File("/etc/grafana/provisioning/datasources/lolstack.yaml", json.dumps(data_source, indent=1)),
                ],
                ports={3000: settings.grafana_port},
                mounts=[Mount(volume(deployment, "grafana"), "/var/lib/grafana")],
                health=HealthCheck(
                    ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/api/health"], limit_seconds=120
                ),
            ),
            after=[prometheus],
        )
