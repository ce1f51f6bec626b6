"""Reports from executors to the driver that a sink is retrying, while the micro-batch is still running.

Spark sends a task's results to the driver when the task ends, and never the logs of its Python workers. A sink that
waits for Elasticsearch must be visible during the wait, so it sends UDP datagrams: cheap and never blocking. A lost
datagram does no harm, since the next retry sends the next one.

Every local user can send datagrams to the driver's port. So each carries a token of this driver's start, which the
executors get within the task's function: a forged wait would raise an alert, and hide that a query hangs.
"""

import hmac
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """The driver's UDP host and port, and the token of its reports."""

    host: str
    port: int
    token: bytes

    def __repr__(self) -> str:
        return f"Address({self.host}:{self.port})"  # without the token: this may get into a log


class SinkWait(msgspec.Struct, frozen=True):
    """A sink's backoff: the service, the reason, seconds until the next attempt, attempts so far, the query's name.

    A wait without end would hide that the query hangs. Without a name it is a wait of all queries.
    """

    service: Annotated[str, msgspec.Meta(pattern="^(Elasticsearch|Kafka)$")]
    reason: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=60)]
    attempt: int
    query: str = ""


def send(address: Address, sink_wait: SinkWait) -> None:
    """Send a report to the driver, without waiting for its delivery: the token, then the wait as JSON."""
    datagram = address.token + msgspec.json.encode(sink_wait)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(datagram, (address.host, address.port))
    except OSError as error:
        log.debug("A sink's wait was not reported to the driver: %s", error)


class Receiver:
    """Receives reports in a background thread and passes those with its token to `handle`."""

    def __init__(self, handle: Callable[[SinkWait], Any]) -> None:
        self._handle = handle
        self._token = secrets.token_bytes()
        self._channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._channel.bind(("", 0))
        threading.Thread(target=self._receive, name="sink-wait", daemon=True).start()

    def address(self, host: str) -> Address:
        """Where executors send their reports; `host` is the name by which they reach the driver."""
        return Address(host, self._channel.getsockname()[1], self._token)

    def close(self) -> None:
        self._channel.close()

    def _receive(self) -> None:
        decoder = msgspec.json.Decoder(SinkWait)
        while True:
            try:
                datagram = self._channel.recv(8192)
            except OSError:  # closed
                return
            token, wait = datagram[: len(self._token)], datagram[len(self._token) :]
            if not hmac.compare_digest(token, self._token):  # before the decoder: whoever sent it may be anybody
                continue
            try:
                self._handle(decoder.decode(wait))
            except Exception as error:  # no report may end the thread: the next waits would be unknown
                log.warning("A report of a sink's wait is lost: %s", error)
