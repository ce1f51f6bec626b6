"""Reports from executors to the driver that a sink is retrying, or makes progress, while the micro-batch is running.

Spark sends a task's results to the driver when the task ends, and never the logs of its Python workers. A sink that
waits for Elasticsearch must be visible during the wait, and one whose task takes minutes does not hang. So it sends UDP
datagrams: cheap and never blocking. A lost datagram does no harm, since the next one follows soon.

Every local user can send datagrams to the driver's port. So each carries a token of this driver's start, which the
executors get within the task's function: a forged wait would raise an alert, and hide that a query hangs.
"""

import hmac
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec

log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_SECONDS = 5


class Address(NamedTuple):
    """The driver's UDP host and port, and the token of its reports."""

    host: str
    port: int
    token: bytes

    def __repr__(self) -> str:
        return f"Address({self.host}:{self.port})"  # without the token: this may get into a log


class SinkWait(msgspec.Struct, frozen=True, tag=True):
    """A sink's backoff: the service, the reason, seconds until the next attempt, the query's name.

    A wait without end would hide that the query hangs. Without a name it is a wait of all queries.
    """

    service: Annotated[str, msgspec.Meta(pattern="^(Elasticsearch|Kafka)$")]
    reason: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=60)]
    query: str = ""


class SinkProgress(msgspec.Struct, frozen=True, tag=True):
    """A service has acknowledged a sink's request. Without the query's name it is progress of all queries."""

    query: str = ""


def send(address: Address, report: SinkWait | SinkProgress) -> None:
    """Send a report to the driver, without waiting for its delivery: the token, then the report as JSON."""
    datagram = address.token + msgspec.json.encode(report)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(datagram, (address.host, address.port))
    except OSError as error:
        log.debug("A sink's wait or progress was not reported to the driver: %s", error)


class ProgressReporter:
    """Reports the acknowledged requests of a task to the driver, at most every few seconds.

    A short task reports none: its end is progress itself.
    """

    def __init__(self, address: Address, query: str) -> None:
        self._address = address
        self._query = query
        self._reported_at = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= _PROGRESS_INTERVAL_SECONDS:
            self._reported_at = now
            send(self._address, SinkProgress(self._query))


class Receiver:
    """Receives reports in a background thread and passes those with its token to `on_wait` and `on_progress`."""

    def __init__(self, on_wait: Callable[[SinkWait], Any], on_progress: Callable[[SinkProgress], Any]) -> None:
        self._on_wait = on_wait
        self._on_progress = on_progress
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
        decoder = msgspec.json.Decoder(SinkWait | SinkProgress)
        while True:
            try:
                datagram = self._channel.recv(8192)
            except OSError:  # closed
                return
            token, content = datagram[: len(self._token)], datagram[len(self._token) :]
            if not hmac.compare_digest(token, self._token):  # before the decoder: whoever sent it may be anybody
                continue
            try:
                report = decoder.decode(content)
                if isinstance(report, SinkWait):
                    self._on_wait(report)
                else:
                    self._on_progress(report)
            except Exception as error:  # no report may end the thread: the next waits would be unknown
                log.warning("A report of a sink's wait or progress is lost: %s", error)
