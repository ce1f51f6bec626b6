"""Word from the executors' Python workers to the driver while a batch is still in hand: what a sink is waiting for.

Spark brings a task's results to the driver when the task ends, and its workers' logs never. A sink that waits for
Elasticsearch must be seen while it waits, so it sends datagrams: cheap, never blocking, and no harm if one is lost,
since the next attempt sends the next one.
"""

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

log = logging.getLogger(__name__)


class Address(NamedTuple):
    host: str
    port: int


class Waiting(msgspec.Struct, frozen=True):
    """A sink could not deliver and will try again: to which service, why, after how many seconds, for the n-th time."""

    service: str
    reason: str
    seconds: float
    attempt: int


def send(address: Address, notice: Waiting) -> None:
    """Send a notice to the driver; whether it arrives makes no difference to the sender."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(msgspec.json.encode(notice), address)
    except OSError as error:
        log.debug("A notice was not sent: %s", error)


class Receiver:
    """Listens in a thread of its own and hands each notice to `handle`."""

    def __init__(self, handle: Callable[[Waiting], Any]) -> None:
        self._handle = handle
        self._channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._channel.bind(("", 0))
        self.port: int = self._channel.getsockname()[1]
        threading.Thread(target=self._receive, name="notices", daemon=True).start()

    def close(self) -> None:
        self._channel.close()

    def _receive(self) -> None:
        decoder = msgspec.json.Decoder(Waiting)
        while True:
            try:
                data = self._channel.recv(8192)
                self._handle(decoder.decode(data))
            except msgspec.DecodeError as error:
                log.debug("A notice could not be read: %s", error)
            except OSError:  # closed
                return
