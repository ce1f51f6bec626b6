"""Reports from executors to the driver that a sink is retrying, while the micro-batch is still running.

Spark sends a task's results to the driver when the task ends, and never the logs of its Python workers. A sink that
waits for Elasticsearch must be visible during the wait, so it sends UDP datagrams: cheap and never blocking. A lost
datagram does no harm, since the next retry sends the next one.
"""

import logging
import socket
import threading
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """The driver's UDP host and port."""

    host: str
    port: int


class SinkWait(msgspec.Struct, frozen=True):
    """A sink's backoff: the service, the reason, seconds until the next attempt, attempts so far.

    Anything in the stack's network can send a datagram: a wait without end would hide that the job hangs.
    """

    service: Annotated[str, msgspec.Meta(pattern="^(Elasticsearch|Kafka)$")]
    reason: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=60)]
    attempt: int


def send(address: Address, sink_wait: SinkWait) -> None:
    """Send a report to the driver, without waiting for its delivery."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(msgspec.json.encode(sink_wait), address)
    except OSError as error:
        log.debug("A sink's wait was not reported to the driver: %s", error)


class Receiver:
    """Receives reports in a background thread and passes each to `handle`."""

    def __init__(self, handle: Callable[[SinkWait], Any]) -> None:
        self._handle = handle
        self._channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._channel.bind(("", 0))
        self.port: int = self._channel.getsockname()[1]
        threading.Thread(target=self._receive, name="sink-wait", daemon=True).start()

    def close(self) -> None:
        self._channel.close()

    def _receive(self) -> None:
        decoder = msgspec.json.Decoder(SinkWait)
        while True:
            try:
                data = self._channel.recv(8192)
                self._handle(decoder.decode(data))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.debug("A datagram is not a sink's wait: %s", error)
            except OSError:  # closed
                return
