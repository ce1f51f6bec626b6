"""Logins by HTTP Basic: the web configuration of Prometheus, Alertmanager and the exporters, the login of metrics and
Spark's pages, and the files with which health checks log in."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import bcrypt
import pulumi
import yaml

from infra.logins import MONITOR, curl_login, sha256, user_of
from infra.names import CURL_CONFIG, METRICS_PORT
from infra.services.base import ConfigFile, Deployment

WEB_CONFIG = "/etc/lolstack/web.yml"
READY_REQUEST = "/etc/lolstack/ready.http"
ROUNDS = 4
"""The fewest that bcrypt has: nobody can guess a random password of 160 bits, however fast its hash is."""
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def ready_check(port: int) -> list[str]:
    """A health check with a login, which is in a file: arguments can be read by every local user. Of all HTTP clients,
    the official images have busybox's only."""
    return ["sh", "-c", f"nc 127.0.0.1 {port} <{READY_REQUEST} | grep -q '^HTTP/1.. 200 '"]


def hanging_check(metric: str) -> list[str]:
    """A health check that fails while this metric of the service is not 0, or cannot be read."""
    metrics = f"curl -fsSK {CURL_CONFIG} http://127.0.0.1:{METRICS_PORT}/metrics"
    return ["sh", "-c", f"{metrics} | grep -q '^{metric} 0'"]


def web_config_files(
    deployment: Deployment, logins: Sequence[str], own: str | None, path: str = "/-/ready"
) -> list[ConfigFile]:
    """The web configuration with these logins (without any, nobody needs one), and the request of the health check,
    which logs in as `own`."""
    passwords = pulumi.Output.all(*(deployment.password(login) for login in logins))
    hashes = passwords.apply(lambda found: _web_config(dict(zip(logins, found, strict=True))))
    return [ConfigFile(WEB_CONFIG, hashes), ConfigFile(READY_REQUEST, _ready_request(deployment, own, path))]


def exporter_config_files(deployment: Deployment, path: str) -> list[ConfigFile]:
    """The web configuration of an exporter, and its health check's request of this path."""
    login = monitor_login(deployment)
    return web_config_files(deployment, [login] if login else [], login, path)


def monitor_login(deployment: Deployment) -> str | None:
    """The login of metrics and Spark's pages; None where they need none."""
    return MONITOR if deployment.strict else None


def monitor_settings(deployment: Deployment) -> dict[str, Any]:
    """The same as the settings `http.username` and `http.password` of the job and the archive."""
    if not deployment.strict:
        return {}
    return {"username": user_of(MONITOR), "password": deployment.password(MONITOR)}


def curl_config(deployment: Deployment) -> ConfigFile:
    """curl's configuration with the login of metrics and Spark's pages, without any where they need none."""
    if not deployment.strict:
        return ConfigFile(CURL_CONFIG, "# No login is needed.\n")
    login = deployment.password(MONITOR).apply(lambda password: curl_login(user_of(MONITOR), password))
    return ConfigFile(CURL_CONFIG, login)


def _ready_request(deployment: Deployment, login: str | None, path: str) -> pulumi.Input[str]:
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n"
    if login is None:
        return f"{request}\r\n"

    def with_login(password: str) -> str:
        credentials = base64.b64encode(f"{user_of(login)}:{password}".encode()).decode()
        return f"{request}Authorization: Basic {credentials}\r\n\r\n"

    return deployment.password(login).apply(with_login)


def _web_config(passwords: dict[str, str]) -> str:
    users = {user_of(login): bcrypt_hash(login, password) for login, password in sorted(passwords.items())}
    return yaml.safe_dump({"basic_auth_users": users} if users else {})


def bcrypt_hash(login: str, password: str) -> str:
    """The password's hash, the same at each call: with a random salt, every `up` would replace the container.

    The salt is a hash of the login and the password, which no other stack has.
    """
    salt = base64.b64encode(bytes.fromhex(sha256(login, password))[:16])[:22]
    settings = b"$2b$%02d$" % ROUNDS + salt.translate(bytes.maketrans(_BASE64, _BCRYPT))
    return bcrypt.hashpw(password.encode(), settings).decode()
