"""The Pulumi outputs of a deployed stack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import requests

from infra.clients.docker_engine import DockerUnavailableError, connect, engine_failures, is_published
from infra.clients.prometheus import PrometheusClient, PrometheusError
from infra.logins import OPERATOR, PROMETHEUS_READER, kafka_client_settings, login_of, user_of
from infra.names import PROMETHEUS_PORT, make_command
from infra.ownership import StateError, foreign_deployment, read_state
from job.kafka_client import KafkaClientSettings


class NotDeployedError(Exception):
    """The stack is not deployed by this user, or Pulumi fails; the message is one line: the reason and what to do."""


def connect_prometheus(outputs: Mapping[str, Any]) -> PrometheusClient:
    """A client of the stack's Prometheus. Its login is given also where none is needed.

    Raises PrometheusError while no container publishes the port: another program may listen there.
    """
    url = f"http://{outputs['services']['prometheus'][str(PROMETHEUS_PORT)]}"
    if not is_published(url):
        raise PrometheusError(f"Prometheus does not answer at {url}: no running container publishes its port")
    session = requests.Session()
    password = outputs.get("credentials", {}).get(PROMETHEUS_READER)  # none in a stack of an earlier version
    if password:
        session.auth = (user_of(PROMETHEUS_READER), password)
    return PrometheusClient(url, session)


def read_stack_outputs(stack: str) -> dict[str, Any]:
    """The stack's outputs, secrets in clear text: never print them as a whole. Raises NotDeployedError."""
    try:
        run = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotDeployedError("pulumi is not on the PATH: `make setup`, then `source tools/env.sh`") from error
    if run.returncode and "no stack named" not in run.stderr:
        reason = run.stderr.strip().rpartition("\n")[2]
        raise NotDeployedError(f"pulumi cannot read the outputs of the stack {stack}: {reason}")
    outputs: dict[str, Any] = json.loads(run.stdout) if run.returncode == 0 else {}
    if "services" not in outputs:
        raise NotDeployedError(
            _foreign_deployment(stack) or f"the stack {stack} is not deployed: `{make_command('up', stack)}`"
        )
    return outputs


def _foreign_deployment(stack: str) -> str | None:
    """The problem if another user has deployed the stack; None also without a Docker engine."""
    try:
        with engine_failures():
            engine = connect()
            return foreign_deployment(read_state(stack), stack, engine)
    except DockerUnavailableError:
        return None
    except StateError as error:
        raise NotDeployedError(str(error)) from error


def kafka_settings(outputs: Mapping[str, Any], user: str = OPERATOR) -> dict[str, Any]:
    """Settings of librdkafka for a client on the host with this user's login, from the stack's outputs.

    Without a login for a stack that was deployed before there were any.
    """
    servers, password = outputs["bootstrapServers"], outputs.get("credentials", {}).get(login_of("kafka", user))
    if password is None:
        return KafkaClientSettings(servers).librdkafka()
    return kafka_client_settings(servers, user, password).librdkafka()
