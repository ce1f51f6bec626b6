"""What a local user of the Docker host can do, who can connect to every container by its address."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import requests

NOBODY = 65534


def run_as(uid: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as this user of the host, without the tester's groups. Needs root."""
    return subprocess.run(
        command, user=uid, group=uid, extra_groups=[], cwd="/", capture_output=True, text=True, check=False
    )


def curl(base: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run curl, without a proxy. `arguments` are curl's own, and end with the path after the URL `base`."""
    command = ["curl", "-sS", "-m", "10", "--noproxy", "*", *arguments[:-1], base + arguments[-1]]
    if os.geteuid() == 0:
        return run_as(NOBODY, *command)
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


@contextmanager
def silent_connections(address: str, port: int, sent: bytes, number: int) -> Iterator[None]:
    """Keep connections open that send this and then nothing. The server may refuse or close them."""
    with ExitStack() as connections:
        for _ in range(number):
            with suppress(ConnectionError):
                connection = connections.enter_context(socket.create_connection((address, port), timeout=10))
                connection.sendall(sent)
        yield


def _direct() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


DIRECT = _direct()
"""Sends requests without a proxy: `requests` would send those to a container's address to it, logins included."""
