"""A resource that is created when a container answers its health check: what comes after it in the order waits for it.

pulumi-docker's own `wait` says only that time ran out; this says which service, and shows its last log lines. It also
asks twice a second, where Docker asks once an interval, which then need not be short for as long as the stack runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import docker
import pulumi
from docker.errors import NotFound
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import connect, execute

LOG_LINES = 25
POLL_SECONDS = 0.5


class NotHealthyError(Exception):
    """A container did not become healthy within its limit."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        wait_until_healthy(props["container"], props["check"], props["limit_seconds"])
        return CreateResult(props["container_id"], props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        # A container that does not run has no open gate: the next `up` waits for it again.
        running = _status(connect(), props["container"]) == "running"
        return ReadResult(id_, props) if running else ReadResult(None, {})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("container", "container_id") if old.get(key) != new[key]]
        return DiffResult(changes=_inputs(old) != _inputs(new), replaces=replaces)

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        return UpdateResult(new)


class HealthGate(Resource, module="container", name="HealthGate"):
    """Open once `check` succeeds in `container`; an error with its last log lines after `limit_seconds`."""

    def __init__(
        self,
        name: str,
        container: str,
        container_id: pulumi.Input[str],
        check: Sequence[str],
        limit_seconds: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "container": container,
            "container_id": container_id,
            "check": list(check),
            "limit_seconds": limit_seconds,
        }
        super().__init__(_Provider(), name, props, opts)


def wait_until_healthy(container: str, check: Sequence[str], limit_seconds: float) -> None:
    """Return when the command `check` succeeds in `container`. Raises NotHealthyError with its last log lines."""
    engine = connect()
    try:
        Retrying(
            retry=retry_if_result(lambda complaint: complaint is not None),
            stop=stop_after_delay(limit_seconds),
            wait=wait_fixed(POLL_SECONDS),
        )(_complaint, engine, container, check)
    except RetryError as error:
        raise NotHealthyError(
            f"{container} is not healthy after {limit_seconds:.0f} s: {error.last_attempt.result()}\n"
            f"Its last log lines:\n{_last_lines(engine, container)}"
        ) from None


def _complaint(engine: docker.DockerClient, container: str, check: Sequence[str]) -> str | None:
    """What is wrong with the container now; None where its health check succeeds."""
    status = _status(engine, container)
    if status != "running":
        return f"it is {status}"
    exit_code, output = execute(container, check)
    return None if exit_code == 0 else f"its health check says: {output or f'exit code {exit_code}'}"


def _status(engine: docker.DockerClient, container: str) -> str:
    try:
        return str(engine.containers.get(container).status)
    except NotFound:
        return "not there"


def _last_lines(engine: docker.DockerClient, container: str) -> str:
    try:
        return engine.containers.get(container).logs(tail=LOG_LINES, stream=False).decode(errors="replace")
    except NotFound:
        return "(none)"


def _inputs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in props.items() if not key.startswith("__")}
