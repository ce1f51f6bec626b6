"""Kafka's health check, against a fake broker: a real one knows its controller within a second, so a test cannot catch
it before that."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.services.kafka import HEALTH_CHECK, LOCAL_PORT


def metadata(controller: int) -> bytes:
    """A Metadata response, version 1, of Kafka's protocol: one broker, no topics."""
    broker = struct.pack(">ih9sih", 1, 9, b"127.0.0.1", LOCAL_PORT, -1)
    response = struct.pack(">ii", 1, 1) + broker + struct.pack(">ii", controller, 0)
    return struct.pack(">i", len(response)) + response


@contextmanager
def broker(response: bytes) -> Iterator[int]:
    """A fake broker with this response; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as client:
                client.recv(100)
                client.sendall(response)
                client.recv(100)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def healthy(port: int) -> bool:
    return (
        subprocess.run(["bash", "-c", HEALTH_CHECK.replace(f"/{LOCAL_PORT} ", f"/{port} ")], check=False).returncode
        == 0
    )


@pytest.mark.parametrize(("controller", "expected"), [(1, True), (-1, False)])
def test_broker_is_healthy_once_it_knows_its_controller(controller: int, expected: bool) -> None:
    with broker(metadata(controller)) as port:
        assert healthy(port) is expected


def test_closed_port_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not healthy(port)
