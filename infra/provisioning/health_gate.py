"""Health gate (readiness): a resource that is created once a container's health check succeeds: dependents wait for it.

pulumi-docker's own `wait` reports only a timeout; the health gate names the service and shows its last log lines. It
runs the check several times a second, so that Docker's own interval need not be short for as long as the stack runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import docker
import pulumi
from docker.errors import NotFound
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult
from tenacity import RetryCallState, RetryError, Retrying, retry_if_result, wait_fixed

import infra.provisioning.preload  # noqa: F401
from infra.clients.docker_engine import connect, execute
from job.printable import escape

LOG_LINES = 25
STORED_TIMEOUT = "limit_seconds"
"""Key of the timeout in Pulumi's state. Another one would be a change of each gate at the next `pulumi up`."""
SLOW_START_FACTOR = 4
"""A container that runs without a restart has this many times its timeout. The machine may be slow or overloaded, or
the log to replay long."""
POLL_SECONDS = 0.2
CHECKS = 10
"""Checks of one `docker exec`, which costs the engine more processor time than the check itself."""
CHECK_REPEATEDLY = f"""
for _ in $(seq {CHECKS}); do
    output=$("$@" 2>&1) && exit
    code=$?
    sleep {POLL_SECONDS}
done
echo "$output"
exit $code
"""


class NotHealthyError(Exception):
    """A container did not become healthy within the timeout."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        wait_until_healthy(props["container"], props["check"], props[STORED_TIMEOUT])
        return CreateResult(props["container_id"], props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        # Drift: the gate of a stopped container does not exist, so that the next `up` waits for its health again.
        running = _status(connect(), props["container"]) == "running"
        return ReadResult(id_, props) if running else ReadResult(None, {})

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("container", "container_id") if old.get(key) != new[key]]
        return DiffResult(changes=_inputs(old) != _inputs(new), replaces=replaces)

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        return UpdateResult(new)


class HealthGate(Resource, module="container", name="HealthGate"):
    """Exists once `check` succeeds in `container`. Fails with its last log lines after `timeout_seconds`, or after
    SLOW_START_FACTOR times as long if the container still runs and has not been restarted."""

    def __init__(
        self,
        name: str,
        container: str,
        container_id: pulumi.Input[str],
        check: Sequence[str],
        timeout_seconds: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "container": container,
            "container_id": container_id,
            "check": list(check),
            STORED_TIMEOUT: timeout_seconds,
        }
        super().__init__(_Provider(), name, props, opts)


def wait_until_healthy(container: str, check: Sequence[str], timeout_seconds: float) -> None:
    """Wait until the health check succeeds in `container`, for `timeout_seconds`, or for SLOW_START_FACTOR times as
    long if the container still runs and has not been restarted. Raises NotHealthyError with its log after that."""
    engine = connect()
    started = _running_since(engine, container)

    def too_late(state: RetryCallState) -> bool:
        waited = state.seconds_since_start or 0
        if waited < timeout_seconds:
            return False
        runs = started and _running_since(engine, container) == started
        return not runs or waited >= SLOW_START_FACTOR * timeout_seconds

    attempts = Retrying(
        retry=retry_if_result(lambda reason: reason is not None), stop=too_late, wait=wait_fixed(POLL_SECONDS)
    )
    try:
        attempts(_unhealthy_reason, engine, container, check)
    except RetryError as error:
        waited = attempts.statistics["delay_since_first_attempt"]
        raise NotHealthyError(
            f"{container} is not healthy after {waited:.0f} s: {error.last_attempt.result()}\n"
            f"Last log lines:\n{_last_lines(engine, container)}"
        ) from None


def _unhealthy_reason(engine: docker.DockerClient, container: str, check: Sequence[str]) -> str | None:
    """Why the container is not healthy; None if its health check succeeds."""
    status = _status(engine, container)
    if status != "running":
        return f"the container is {status}"
    exit_code, output = execute(container, ["sh", "-c", CHECK_REPEATEDLY, "sh", *check])
    return None if exit_code == 0 else f"its health check fails: {output or f'exit code {exit_code}'}"


def _status(engine: docker.DockerClient, container: str) -> str:
    try:
        return str(engine.containers.get(container).status)
    except NotFound:
        return "missing"


def _running_since(engine: docker.DockerClient, container: str) -> str:
    """When the container was started, as the engine says it; empty if it does not run."""
    try:
        state = engine.containers.get(container).attrs["State"]
    except NotFound:
        return ""
    return str(state["StartedAt"]) if state["Status"] == "running" else ""


def _last_lines(engine: docker.DockerClient, container: str) -> str:
    try:
        log = engine.containers.get(container).logs(tail=LOG_LINES, stream=False).decode(errors="replace")
    except NotFound:
        return "(none)"
    return "\n".join(escape(line) for line in log.split("\n"))


def _inputs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in props.items() if not key.startswith("__")}
