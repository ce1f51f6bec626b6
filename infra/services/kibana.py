"""Kibana: data views, panels and a dashboard over Elasticsearch."""

from __future__ import annotations

from typing import Any

from infra import users
from infra.logins import KIBANA_KEYS
from infra.names import HOST_ADDRESS, KIBANA_PORT, container_name
from infra.services.base import (
    GROUP_ONLY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Service,
    http_check,
    yaml_text,
)
from infra.services.elasticsearch import Elasticsearch

CONFIG = "/usr/share/kibana/config"
AUTHORITY = f"{CONFIG}/elasticsearch-authority.crt"
USER = "lol_kibana"
LOGIN_FORM = {
    "basic": {"login": {"order": 1, "description": "Log in", "hint": "As admin to edit, as operator to read"}}
}
WITHOUT_LOGIN = {
    "anonymous": {
        "reading": {
            "order": 0,
            "credentials": "elasticsearch_anonymous_user",
            "description": "Continue as a guest",
            "hint": "Without a login: to read",
            "session": {"idleTimeout": "1d"},  # otherwise Elasticsearch keeps each guest's for 30 days
        }
    }
}
"""A guest has the rights of Elasticsearch's anonymous user.

With two providers, Kibana lets people choose on its first page, to which "Log in" in a guest's menu leads too. The
parameter `auth_provider_hint=reading` of a link chooses for them.
"""


class Kibana(Service):
    """Kibana, of the same version as Elasticsearch. In `guarded`, reading needs no login."""

    def __init__(self, deployment: Deployment, elasticsearch: Elasticsearch) -> None:
        settings = deployment.settings
        login = elasticsearch.login(USER)
        providers = LOGIN_FORM if deployment.strict else WITHOUT_LOGIN | LOGIN_FORM
        config: dict[str, Any] = {
            "server.host": "0.0.0.0",
            "server.publicBaseUrl": f"http://{HOST_ADDRESS}:{deployment.host_port(settings.kibana_port)}",
            "server.shutdownTimeout": "5s",
            "elasticsearch.hosts": elasticsearch.hosts,
            "elasticsearch.username": login["username"],
            "elasticsearch.password": login["password"],
            "xpack.security.authc.providers": providers,
            # A browser sends a cookie to all ports of a host, and so to the Kibana of each stack.
            "xpack.security.cookieName": container_name(deployment.stack, "kibana"),
            **{f"xpack.{key.removeprefix('kibana.')}.encryptionKey": deployment.password(key) for key in KIBANA_KEYS},
            "telemetry.optIn": False,
            "telemetry.allowChangingOptInStatus": False,
            "newsfeed.enabled": False,
            "map.includeElasticMapsService": False,
            "xpack.fleet.isAirGapped": True,  # no requests to the registry of packages
        }
        if deployment.strict:
            config["elasticsearch.ssl.certificateAuthorities"] = [AUTHORITY]
        super().__init__(
            deployment,
            "kibana",
            ContainerSpec(
                image="kibana",
                user=users.KIBANA,
                memory_mib=settings.kibana_memory,
                environment={
                    "NODE_OPTIONS": f"--max-old-space-size={settings.kibana_memory // 2}",
                    "TINI_SUBREAPER": "yes",  # the image's own init process runs below Docker's, and would warn
                },
                files=[
                    ConfigFile(f"{CONFIG}/kibana.yml", yaml_text(config), GROUP_ONLY),
                    *elasticsearch.authority_files(AUTHORITY),
                ],
                ports={KIBANA_PORT: settings.kibana_port},
                # Without Elasticsearch its status is 503: alive.
                health=HealthCheck(http_check(f"http://127.0.0.1:{KIBANA_PORT}/api/status"), start_timeout_seconds=300),
                grace_seconds=15,
                tmp_mib=128,
            ),
            depends_on=[elasticsearch],
        )
