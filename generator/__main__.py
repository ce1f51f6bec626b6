"""Entry point: makes matches and sends them to Kafka at a rate, until the count is reached or it is stopped."""

import itertools
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from confluent_kafka import KafkaException

from generator import options
from generator.match import MatchFactory
from generator.metrics import Metrics
from generator.options import Options
from generator.report import Report
from generator.sender import Sender, deadline
from generator.stream import Message, stream

logger = logging.getLogger("generator")

# Within the ten seconds that a container has between SIGTERM and SIGKILL.
_FLUSH_WHEN_STOPPED_SECONDS = 8.0
# Behind by more than this (Kafka was away): go on from now, without a burst.
_MOST_BEHIND_SECONDS = 1.0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _steady_clock(start_ms: int, step_ms: float) -> Callable[[], int]:
    """A clock that moves by `step_ms` whenever it is read."""
    ticks = itertools.count()
    return lambda: start_ms + int(next(ticks) * step_ms)


def _messages(chosen: Options) -> Iterator[Message]:
    if chosen.start_ms is None:
        start_ms, now = _now_ms(), _now_ms
    else:
        start_ms = chosen.start_ms
        now = _steady_clock(start_ms, 1000 / chosen.rate if chosen.rate else 1.0)
    factory = MatchFactory(
        seed=chosen.seed,
        size=chosen.size,
        start_ms=start_ms,
        now=now,
        empty_positions=chosen.empty_positions,
    )
    return stream(factory, chosen.mix, chosen.seed, huge=chosen.size == "full")


def _send_all(chosen: Options, sender: Sender, report: Report, stopped: Callable[[], bool]) -> None:
    """Sends at the rate until the count is reached or `stopped`. A match is made at the moment it is due."""
    messages = _messages(chosen)
    gap = 1 / chosen.rate if chosen.rate else 0.0
    due = time.monotonic()
    for _ in range(chosen.count) if chosen.count is not None else itertools.count():
        while (ahead := due - time.monotonic()) > 0 and not stopped():
            sender.wait(ahead)
        if stopped():
            return
        sender.send(next(messages), stopped)
        report.tick()
        due = max(due + gap, time.monotonic() - _MOST_BEHIND_SECONDS)


def main() -> int:
    """The exit code: 0 when all that was to be sent was acknowledged."""
    chosen = options.parse()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    metrics = Metrics()
    if chosen.metrics_port:
        try:
            metrics.serve(chosen.metrics_port)
        except OSError as error:
            logger.error("--metrics-port %d cannot be used: %s. Choose another, or 0.", chosen.metrics_port, error)
            return 1
    report = Report(metrics, chosen.rate)
    sender = Sender(chosen.bootstrap_servers, chosen.topic, report)
    logger.info(
        "Sending %s matches to %s at %s, %s (seed %d)",
        chosen.size,
        chosen.topic,
        chosen.bootstrap_servers,
        f"{chosen.rate:g} a second" if chosen.rate else "as fast as it takes them",
        chosen.seed,
    )
    try:
        _send_all(chosen, sender, report, stop.is_set)
        flush_until = deadline(_FLUSH_WHEN_STOPPED_SECONDS)
        sender.flush(lambda: stop.is_set() and flush_until())
    except KafkaException as error:
        logger.error("Stopped: the Kafka client failed: %s", error)
        return 1
    finally:
        report.summary()
    finished = chosen.count is None or report.sent.total() == chosen.count
    return 0 if finished and report.complete else 1


if __name__ == "__main__":
    sys.exit(main())
