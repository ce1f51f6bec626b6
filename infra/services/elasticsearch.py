"""Elasticsearch: one node that holds the documents and the statistics."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pulumi

from infra import users
from infra.logins import ELASTICSEARCH_ROLES, curl_login, login_of, sha256
from infra.names import ELASTICSEARCH_PORT, HOST_ADDRESS
from infra.services import file_text
from infra.services.base import (
    GROUP_ONLY,
    JVM_DUMPS_NO_HEAP,
    JVM_EXITS_ON_OUT_OF_MEMORY,
    ConfigFile,
    ContainerSpec,
    Deployment,
    HealthCheck,
    Mount,
    Service,
    curl_check,
)
from infra.settings import ELASTICSEARCH_MIB

CONFIG = "/usr/share/elasticsearch/config"
CERTIFICATE, KEY, AUTHORITY = f"{CONFIG}/elasticsearch.crt", f"{CONFIG}/elasticsearch.key", f"{CONFIG}/authority.crt"
HEALTH_CHECK = f"{CONFIG}/health.curl"
READING_ROLE = "lol_reader"
"""The role of whoever has no login, in `guarded`."""
HASH_ITERATIONS = 10_000
"""Iterations of PBKDF2: enough for passwords of 160 random bits, and one of the numbers that Elasticsearch knows."""
GC_LOG_OFF = "-Xlog:disable -Xlog:all=warning:stderr:utctime,level,tags"

SECURITY = {
    "xpack.security.enabled": "true",
    # The file realm alone: the built image has no other. Its users are those of infra/logins.py.
    "xpack.security.authc.realms.file.lolstack.order": "0",
    "xpack.security.authc.realms.native.unused.enabled": "false",
    "xpack.security.authc.reserved_realm.enabled": "false",
    "xpack.security.authc.token.enabled": "false",
    "xpack.security.authc.api_key.enabled": "false",
}
ANONYMOUS = {
    "xpack.security.authc.anonymous.username": "anonymous",
    "xpack.security.authc.anonymous.roles": READING_ROLE,
    "xpack.security.authc.anonymous.authz_exception": "false",  # 401: whoever lacks a privilege may log in
}
TLS = {
    "xpack.security.http.ssl.certificate": CERTIFICATE,
    "xpack.security.http.ssl.key": KEY,
}


class Elasticsearch(Service):
    """A single node with a login for each client.

    In `guarded`, whoever has no login may read, and HTTP is plain: the node is reachable from this machine only.
    """

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        memory = settings.elasticsearch_memory
        if memory < 0:
            memory = ELASTICSEARCH_MIB[deployment.images.source.kind]
        heap = memory // 2
        certificates = deployment.certificates
        java_options = (
            f"-Xms{heap}m -Xmx{heap}m",
            # G1: under the serial collector the circuit breaker counts garbage and refuses whole bulk requests.
            f"-XX:+UseG1GC {JVM_EXITS_ON_OUT_OF_MEMORY} {GC_LOG_OFF}",
            JVM_DUMPS_NO_HEAP,
            # Which fields have values, for the field list of Kibana, would be found out again at each refresh. The list
            # has all fields instead.
            "-Des.field_caps_empty_fields_filter=false",
            "-Des.queryable_built_in_roles_enabled=false",  # an index with copies of the built-in roles, for nobody
        )
        self._scheme = "https" if deployment.strict else "http"
        super().__init__(
            deployment,
            "elasticsearch",
            ContainerSpec(
                image="elasticsearch",
                user=users.ELASTICSEARCH,
                memory_mib=memory,
                cpu_shares=8192,  # a person waits for a search; Spark's work beside it may take a little longer
                environment={
                    "cluster.name": deployment.prefix,
                    "node.name": "elasticsearch",
                    "discovery.type": "single-node",
                    # A single node has no peer; the protocol between nodes has no login.
                    "transport.host": "127.0.0.1",
                    **SECURITY,
                    "xpack.security.http.ssl.enabled": "true" if deployment.strict else "false",
                    **(TLS if deployment.strict else ANONYMOUS),
                    "xpack.ml.enabled": "false",
                    "ingest.geoip.downloader.enabled": "false",
                    # Percentages would block writes on a large disk that is mostly used by others.
                    "cluster.routing.allocation.disk.watermark.low": "2gb",
                    "cluster.routing.allocation.disk.watermark.high": "1gb",
                    "cluster.routing.allocation.disk.watermark.flood_stage": "512mb",
                    "TINI_SUBREAPER": "yes",  # the image's own init process runs below Docker's, and would warn
                    "action.destructive_requires_name": "true",
                    # Longest lifetime of scrolls, which hold segments: whoever has no login may open some. Kibana's
                    # migrations need a point in time for ten minutes.
                    "search.max_keep_alive": "10m",
                    # The official image lets whoever may search store results (_async_search), of 10 MB by default.
                    "search.max_async_search_response_size": "1mb",
                    # The templates allow the stack's indices (allow_auto_create): a write before its template exists
                    # must wait, not create an index with guessed mappings.
                    "action.auto_create_index": "-lol_*,+*",
                    "ES_JAVA_OPTS": " ".join(java_options),
                },
                files=[
                    ConfigFile(f"{CONFIG}/users", _users_file(deployment), GROUP_ONLY),
                    ConfigFile(f"{CONFIG}/users_roles", users_roles_file()),
                    ConfigFile(f"{CONFIG}/roles.yml", file_text("roles.yml")),
                    ConfigFile(
                        HEALTH_CHECK,
                        deployment.password("elasticsearch.exporter").apply(self._health_check),
                        GROUP_ONLY,
                    ),
                    ConfigFile(CERTIFICATE, certificates.certificate("elasticsearch")),
                    ConfigFile(KEY, certificates.key("elasticsearch"), GROUP_ONLY),
                    ConfigFile(AUTHORITY, certificates.authority),
                ],
                ports={ELASTICSEARCH_PORT: settings.elasticsearch_port},
                mounts=[Mount("elasticsearch", "/usr/share/elasticsearch/data")],
                # A node that answers that it is red is alive.
                health=HealthCheck(curl_check(f"-K {HEALTH_CHECK}"), start_timeout_seconds=180),
                grace_seconds=60,
            ),
        )
        self.hosts = [f"{self._scheme}://{self.name}:{ELASTICSEARCH_PORT}"]
        """URLs for clients in the stack's network."""

    def url(self, port: int) -> str:
        return f"{self._scheme}://{HOST_ADDRESS}:{self.host_ports[port]}"

    @property
    def ca_certificate(self) -> pulumi.Output[str] | str:
        """The certificate authority (PEM) that clients need; empty without TLS."""
        return self.deployment.certificates.authority if self.deployment.strict else ""

    def authority_files(self, path: str) -> list[ConfigFile]:
        """The file of a client with the certificate authority; none without TLS."""
        return [ConfigFile(path, self.ca_certificate)] if self.deployment.strict else []

    def login(self, user: str) -> dict[str, pulumi.Input[str]]:
        """A client's username and password, of a user of infra/logins.py."""
        return {"username": user, "password": self.deployment.password(login_of("elasticsearch", user))}

    def _health_check(self, password: str) -> str:
        """What the health check's curl reads: a login on its command line would be in the container's description."""
        url = f"{self._scheme}://127.0.0.1:{ELASTICSEARCH_PORT}/_cluster/health?wait_for_status=yellow&timeout=3s"
        return f'url = "{url}"\n{curl_login("exporter", password)}cacert = "{AUTHORITY}"\n'


def users_file(passwords: Mapping[str, str]) -> str:
    """The file realm's file `users`: each user's password hash.

    The salt follows from user and password, so that the same passwords are the same file at each `up`.
    """
    return "".join(f"{user}:{_hash(user, password)}\n" for user, password in sorted(passwords.items()))


def users_roles_file() -> str:
    """The file realm's file `users_roles`: each role's users."""
    roles: dict[str, list[str]] = {}
    for user, role in ELASTICSEARCH_ROLES.items():
        roles.setdefault(role, []).append(user)
    return "".join(f"{role}:{','.join(members)}\n" for role, members in sorted(roles.items()))


def _hash(user: str, password: str) -> str:
    salt = bytes.fromhex(sha256(user, password))
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, HASH_ITERATIONS, dklen=32)
    return f"{{PBKDF2}}{HASH_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _users_file(deployment: Deployment) -> pulumi.Output[str]:
    passwords = {user: deployment.password(login_of("elasticsearch", user)) for user in ELASTICSEARCH_ROLES}
    return pulumi.Output.all(**passwords).apply(users_file)
