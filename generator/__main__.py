"""Entry point: generates matches and sends them to Kafka at a rate, until the count is reached or a stop signal."""

import itertools
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from confluent_kafka import KafkaException

from generator import options
from generator.delivery_report import DeliveryReport
from generator.match_factory import MatchFactory
from generator.messages import GeneratedMessage, generate_messages
from generator.metrics import GeneratorMetrics
from generator.options import Options
from generator.producer import MessageProducer, timeout_after

logger = logging.getLogger("generator")

# Shorter than Docker's default of ten seconds between SIGTERM and SIGKILL; in the stack it is 20.
_FLUSH_TIMEOUT_ON_STOP_SECONDS = 8.0
# If the generator is behind its rate by more than this (Kafka was unavailable), it does not send a burst to catch up.
_MAX_CATCH_UP_SECONDS = 1.0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _simulated_clock(start_ms: int, step_ms: float) -> Callable[[], int]:
    """A clock (ms since 1970) that advances by `step_ms` at each reading."""
    ticks = itertools.count()
    return lambda: start_ms + int(next(ticks) * step_ms)


def _messages(chosen: Options) -> Iterator[GeneratedMessage]:
    if chosen.start_ms is None:
        start_ms, now = _now_ms(), _now_ms
    else:
        start_ms = chosen.start_ms
        now = _simulated_clock(start_ms, 1000 / chosen.rate if chosen.rate else 1.0)
    factory = MatchFactory(
        seed=chosen.seed,
        size=chosen.size,
        start_ms=start_ms,
        now=now,
        modes=chosen.modes,
        empty_positions=chosen.empty_positions,
    )
    return generate_messages(factory, chosen.shares, chosen.seed, huge=chosen.size == "full")


def _send_all(chosen: Options, producer: MessageProducer, report: DeliveryReport, stopped: Callable[[], bool]) -> None:
    """Sends with a rate limit until the count is reached or `stopped`. Each match is generated when it is due."""
    messages = _messages(chosen)
    interval = 1 / chosen.rate if chosen.rate else 0.0
    due = time.monotonic()
    for _ in range(chosen.count) if chosen.count is not None else itertools.count():
        while (ahead := due - time.monotonic()) > 0 and not stopped():
            producer.poll(ahead)
        if stopped():
            return
        producer.send(next(messages), stopped)
        report.log_totals_if_due()
        due = max(due + interval, time.monotonic() - _MAX_CATCH_UP_SECONDS)


def main() -> int:
    """Runs the generator. Exit code 0 if every requested message was acknowledged, else 1. Stops gracefully."""
    chosen = options.parse()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    metrics = GeneratorMetrics()
    if chosen.metrics_port:
        try:
            metrics.serve(chosen.metrics_port, chosen.metrics_login)
        except OSError as error:
            logger.error("--metrics-port %d cannot be used: %s. Choose another, or 0.", chosen.metrics_port, error)
            return 1
    report = DeliveryReport(metrics, chosen.rate)
    producer = MessageProducer(chosen.bootstrap_servers, chosen.topic, report, client_config=chosen.client_config)
    metrics.watch(producer.hanging)
    logger.info(
        "Sending %s matches to %s at %s, %s (seed %d)",
        chosen.size,
        chosen.topic,
        chosen.bootstrap_servers,
        f"{chosen.rate:g} a second" if chosen.rate else "as fast as it takes them",
        chosen.seed,
    )
    try:
        _send_all(chosen, producer, report, stop.is_set)
        flush_timed_out = timeout_after(_FLUSH_TIMEOUT_ON_STOP_SECONDS)
        producer.flush(lambda: stop.is_set() and flush_timed_out())
    except KafkaException as error:
        logger.error("Stopped: the Kafka client failed: %s", error)
        return 1
    finally:
        report.log_summary()
    finished = chosen.count is None or report.sent.total() == chosen.count
    return 0 if finished and report.all_delivered else 1


if __name__ == "__main__":
    sys.exit(main())
