"""Kafka's health check against a server of our own: a broker that does not know its controller is there for less than a
second, and cannot be had when it is wanted."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.services.kafka import HEALTH_CHECK


def metadata(controller: int) -> bytes:
    """Metadata, version 1, as Kafka's protocol has it: one broker, no topics."""
    broker = struct.pack(">ih5sih", 1, 5, b"kafka", 9092, -1)
    answer = struct.pack(">ii", 1, 1) + broker + struct.pack(">ii", controller, 0)
    return struct.pack(">i", len(answer)) + answer


@contextmanager
def broker(answer: bytes) -> Iterator[int]:
    """A server that gives each client this answer; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as client:
                client.recv(100)
                client.sendall(answer)
                client.recv(100)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def healthy(port: int) -> bool:
    return subprocess.run(["bash", "-c", HEALTH_CHECK.replace("/9092 ", f"/{port} ")], check=False).returncode == 0


@pytest.mark.parametrize(("controller", "expected"), [(1, True), (-1, False)])
def test_a_broker_is_healthy_once_it_knows_its_controller(controller: int, expected: bool) -> None:
    with broker(metadata(controller)) as port:
        assert healthy(port) is expected


def test_nobody_there_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not healthy(port)
