"""The Docker engine: connecting, running a command in a container, and a stack's containers and published ports."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, NotFound
from requests import RequestException

from infra.names import HOST_ADDRESS, STACK_LABEL

if TYPE_CHECKING:
    from docker.models.containers import Container

TLS_SETTINGS = ("DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
PEER_CREDENTIALS = "3i"
"""Linux's struct ucred: pid, uid, gid."""
EXECUTE_SECONDS = 30
MAX_OUTPUT_BYTES = 16 * 2**20
TOO_MUCH_OUTPUT = 27
"""Exit code in place of a command's own. (curl's, if it cannot keep an answer in memory.)"""


class DockerUnavailableError(Exception):
    """The Docker engine does not answer, or not as it should; the message is one line."""


def engine_address() -> str:
    """The engine's URL: DOCKER_HOST, else the local socket."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def connect(timeout: int = 30) -> docker.DockerClient:
    """A client of the engine, with a timeout for each call in seconds. Raises DockerUnavailableError with the URL.

    The engine must be on this machine: published ports would be on the other machine's loopback, where this program,
    which creates topics and index templates through them, cannot connect.
    """
    if os.environ.get("DOCKER_CONTEXT"):
        raise DockerUnavailableError(
            "DOCKER_CONTEXT is set, which Pulumi's Docker provider uses in place of DOCKER_HOST, and this program does "
            "not: unset DOCKER_CONTEXT, and set DOCKER_HOST to the address of that engine (`docker context ls`)"
        )
    url = engine_address()
    if urlsplit(url).hostname not in (None, "localhost", "127.0.0.1", "::1"):
        raise DockerUnavailableError(
            f"the Docker engine at {url} is on another machine: run this there, or unset DOCKER_HOST"
        )
    if url.startswith("unix:") and (settings := [name for name in TLS_SETTINGS if os.environ.get(name)]):
        raise DockerUnavailableError(
            f"{', '.join(settings)}: the Docker engine's socket {url} has no TLS, so that Docker's client or Pulumi's "
            "Docker provider cannot connect to it with this (as `minikube docker-env` and docker-machine set it): "
            f"unset {' '.join(settings)}"
        )
    try:
        client = docker.from_env(timeout=timeout)
    except DockerException as error:
        raise DockerUnavailableError(
            f"no Docker engine answers at {url} ({error}): start it, or `make setup`, or set DOCKER_HOST"
        ) from error
    return client


def engine_process_limit() -> int | None:
    """The hard limit of processes (nproc) of the process that listens on the engine's socket; None if there is none or
    it is unknown."""
    address = engine_address()
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        if address.startswith("unix://"):
            client.connect(address.removeprefix("unix://"))
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(PEER_CREDENTIALS))
            pid, _uid, _gid = struct.unpack(PEER_CREDENTIALS, credentials)
            for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
                if line.startswith("Max processes"):
                    hard = line.split()[3]
                    return int(hard) if hard.isdecimal() else None
    return None


@contextmanager
def engine_failures() -> Iterator[None]:
    """Raise DockerUnavailableError for what docker-py raises if the engine fails at a request or does not answer it."""
    try:
        yield
    except NotFound as error:
        raise DockerUnavailableError(f"something was removed meanwhile ({error.explanation}): start again") from error
    except (APIError, RequestException) as error:
        reason = (isinstance(error, APIError) and error.explanation) or str(error)
        raise DockerUnavailableError(
            f"the Docker engine at {engine_address()} does not work ({' '.join(reason.split())}): restart it"
        ) from error


def credentials_problem(reference: str, error: DockerException) -> str:
    """One line for what docker-py raises if it cannot read the login of the image's registry, and what to do.

    Mostly a credential helper that is missing: Docker Desktop leaves its own in config.json after it was removed.
    """
    file = f"{os.environ.get('DOCKER_CONFIG') or '~/.docker'}/config.json"
    return (
        f"the login for the registry of {reference} cannot be read ({' '.join(str(error).split())}): install that "
        f"credential helper, or remove it from {file} (credsStore, credHelpers), or set lolstack:imageSource to build"
    )


def execute(container: str, command: Sequence[str]) -> tuple[int, str]:
    """Run `command` in a running container. Returns exit code and standard output; after a failure, standard error
    follows it. After 30 s the exit code is 124, as of timeout(1), and with more than 16 MiB of output it is 27.

    Uses Docker's CLI: docker-py can lose the beginning of the output (https://github.com/docker/docker-py/issues/425).
    """
    with (
        subprocess.Popen(
            ["docker", "exec", container, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        ThreadPoolExecutor(2) as readers,
    ):

        def read(stream: IO[bytes]) -> bytes:
            """The stream's content. A compromised container may write without end: ends the process then."""
            content = stream.read(MAX_OUTPUT_BYTES + 1)
            if len(content) > MAX_OUTPUT_BYTES:
                process.kill()
            return content

        assert process.stdout is not None
        assert process.stderr is not None
        outputs = [readers.submit(read, stream) for stream in (process.stdout, process.stderr)]
        try:
            exit_code = process.wait(EXECUTE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return 124, f"no answer in {EXECUTE_SECONDS} s"
        output, errors = (future.result() for future in outputs)
    if max(len(output), len(errors)) > MAX_OUTPUT_BYTES:
        return TOO_MUCH_OUTPUT, f"more than {MAX_OUTPUT_BYTES >> 20} MiB of output"
    # Docker's client writes warnings to standard error, for example of a configuration file that it cannot read.
    return exit_code, (output + errors if exit_code else output).decode(errors="replace").strip()


def stack_filter(stack: str) -> dict[str, str | list[str] | bool]:
    """The filter of docker-py's lists for what carries the label of `stack`."""
    return {"label": f"{STACK_LABEL}={stack}"}


def stack_containers(client: docker.DockerClient, stack: str) -> list[Container]:
    """The containers of `stack`, running or not."""
    return client.containers.list(all=True, filters=stack_filter(stack), ignore_removed=True)


def foreign_endpoints(client: docker.DockerClient, stack: str) -> dict[str, dict[str, str]]:
    """Of each network of `stack` the running containers of others that are connected to it: ids and names."""
    own = {container.id for container in client.containers.list(all=True, filters=stack_filter(stack), sparse=True)}
    return {
        str(network.name): {
            container: endpoint["Name"]
            for container, endpoint in (network.attrs["Containers"] or {}).items()
            if container not in own
        }
        for network in client.networks.list(filters=stack_filter(stack), greedy=True)
    }


def published_ports(
    client: docker.DockerClient, stack: str | None = None, container: str | None = None
) -> dict[int, str]:
    """The ports on HOST_ADDRESS that running containers publish, and their containers' names: of `stack` or of all
    stacks, and of `container` or of all containers.

    A container that does not run does not hold its ports: any local user can listen on them meanwhile.
    """
    label = STACK_LABEL if stack is None else f"{STACK_LABEL}={stack}"
    return {
        port["PublicPort"]: each["Names"][0].removeprefix("/")
        for each in client.api.containers(filters={"label": label, "status": ["running", "paused"]})
        if container is None or f"/{container}" in each["Names"]
        for port in each["Ports"]
        if port.get("IP") in (HOST_ADDRESS, "0.0.0.0")  # the list also has ports that are not published, without one
    }


def is_published(url: str, container: str | None = None) -> bool:
    """Whether a stack's running container publishes the port of `url`. With `container`, only that one counts.

    Otherwise another program may listen there, and would catch a login. False also if the engine does not answer.
    """
    try:
        with engine_failures():
            return urlsplit(url).port in published_ports(connect(), container=container)
    except DockerUnavailableError:
        return False


def kill_containers(client: docker.DockerClient, stack: str) -> None:
    """Kill the stack's containers, before they and their data are deleted: none needs to end gracefully.

    One after the other: if many end at the same moment, Docker Engine 20.10 can lose count of a network's endpoints,
    and then refuses to remove the network until it is restarted.
    """
    for container in stack_containers(client, stack):
        with suppress(APIError, RequestException):  # it is not running; or is slow, and Pulumi will remove it
            container.kill()
