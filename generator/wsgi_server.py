"""An HTTP server whose clients cannot keep its threads and its memory.

A copy of `job/wsgi_server.py`: the generator's image has no other package of this repository.
"""

import io
import time
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import ThreadingWSGIServer

MAX_CONNECTIONS = 50


class Server(ThreadingWSGIServer):
    """A thread for each connection. Of more than MAX_CONNECTIONS the oldest is closed: a request takes milliseconds, so
    that is a client that hangs, and a health check still gets its answer."""

    def __init__(self, *arguments: Any) -> None:
        self._connections: dict[Any, None] = {}  # from the oldest to the newest
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections[request] = None
        if len(self._connections) > MAX_CONNECTIONS:
            oldest, *_ = list(self._connections)  # a copy: each thread removes its own
            with suppress(OSError):  # it has just been closed
                oldest.shutdown(SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.pop(request, None)
        super().shutdown_request(request)


class RequestHandler(WSGIRequestHandler):
    timeout = 5  # seconds: of the whole request, and of each write of the answer

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(LimitedReader(self.connection, self.timeout))

    def handle(self) -> None:
        with suppress(OSError):  # the client is too slow, or has gone
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there is a request every few seconds."""


class LimitedReader(io.RawIOBase):
    """Reads a request from a connection: at most MAX_BYTES, and for `seconds` in all. Raises TimeoutError."""

    MAX_BYTES = 64 * 1024

    def __init__(self, connection: socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._free = self.MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            count = self._connection.recv_into(buffer, min(len(buffer), self._free)) if self._free else 0
        finally:
            self._connection.settimeout(self._seconds)
        self._free -= count
        return count
