"""Requests to ZooKeeper without a login, which its clients would not send to a server that needs one."""

from __future__ import annotations

import socket
import struct

PORT = 2181
TIMEOUT_SECONDS = 10
REFUSED = (None, -124)
"""The connection is closed, or SESSIONCLOSEDREQUIRESASLAUTH."""
_NO_SUCH_VERSION = 1_000_000_000
_EPHEMERAL = 1


def _string(text: str) -> bytes:
    return struct.pack(">i", len(text)) + text.encode()


def get_data(path: str) -> bytes:
    """A request for the content of a node."""
    return struct.pack(">i", 4) + _string(path) + b"\0"


def get_children(path: str) -> bytes:
    """A request for the names of a node's children."""
    return struct.pack(">i", 8) + _string(path) + b"\0"


def create(path: str) -> bytes:
    """A request for a new node, which vanishes with its session."""
    everybody = struct.pack(">ii", 1, 31) + _string("world") + _string("anyone")
    return struct.pack(">i", 1) + _string(path) + _string("") + everybody + struct.pack(">i", _EPHEMERAL)


def set_data(path: str) -> bytes:
    """A change of a node's content, with a version that a server without logins refuses."""
    return struct.pack(">i", 5) + _string(path) + _string("x") + struct.pack(">i", _NO_SUCH_VERSION)


def delete(path: str) -> bytes:
    """A deletion of a node, with a version that a server without logins refuses."""
    return struct.pack(">i", 2) + _string(path) + struct.pack(">i", _NO_SUCH_VERSION)


def error_of(address: str, request: bytes) -> int | None:
    """The error code of the first request of a new session: 0 for success, None if the connection is closed."""
    with (
        socket.create_connection((address, PORT), timeout=TIMEOUT_SECONDS) as connection,
        connection.makefile("rb") as answers,
    ):

        def send(content: bytes) -> None:
            connection.sendall(struct.pack(">i", len(content)) + content)

        def receive() -> bytes:
            length = answers.read(4)
            return answers.read(struct.unpack(">i", length)[0]) if length else b""

        send(struct.pack(">iqiqi16s", 0, 0, 10_000, 0, 16, bytes(16)))
        assert len(receive()) >= 36, "no session"
        try:
            send(struct.pack(">i", 1) + request)
            answer = receive()
        except ConnectionError:
            return None
    return int(struct.unpack(">iqi", answer[:16])[2]) if answer else None
