"""Delivery report: counts sent, delivered and failed messages by kind, and logs them."""

import logging
import time
from collections import Counter
from collections.abc import Callable

from generator.log_rate_limiter import LogRateLimiter
from generator.messages import GeneratedMessage, MessageKind
from generator.metrics import GeneratorMetrics

logger = logging.getLogger("generator")

_TOTALS_EVERY_SECONDS = 60.0
# Up to this rate each delivery has its own log line; above it the log is limited to one line a second.
MAX_LOG_LINES_PER_SECOND = 10.0


class DeliveryReport:
    """Counts messages by kind. Each sent message is later either delivered or failed."""

    def __init__(self, metrics: GeneratorMetrics, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.sent: Counter[MessageKind] = Counter()
        self.delivered: Counter[MessageKind] = Counter()
        self.failed: Counter[MessageKind] = Counter()
        self._metrics = metrics
        self._clock = clock
        self._delivery_lines = LogRateLimiter(0.0 if 0 < rate <= MAX_LOG_LINES_PER_SECOND else 1.0, clock)
        self._failure_lines = LogRateLimiter(1.0, clock)
        self._started = clock()
        self._next_totals = self._started + _TOTALS_EVERY_SECONDS

    def record_sent(self, message: GeneratedMessage) -> None:
        """The producer has queued the message."""
        self.sent[message.kind] += 1

    def record_delivered(self, kind: MessageKind, text: str) -> None:
        """Kafka has acknowledged the message."""
        self.delivered[kind] += 1
        self._metrics.count_delivered(kind)
        suppressed = self._delivery_lines.acquire()
        if suppressed is not None:
            more = f" (and {suppressed} more)" if suppressed else ""
            repeated = " (again)" if kind is MessageKind.DUPLICATE else ""
            logger.info("Sent: %s%s%s", text, repeated, more)

    def record_failed(self, kind: MessageKind, text: str, reason: str) -> None:
        """The message is lost."""
        self.failed[kind] += 1
        self._metrics.count_failed()
        suppressed = self._failure_lines.acquire()
        if suppressed is not None:
            more = f" (and {suppressed} more)" if suppressed else ""
            logger.warning("Not delivered: %s: %s%s", text, reason, more)

    def log_totals_if_due(self) -> None:
        """Logs the totals once a minute."""
        if self._clock() >= self._next_totals:
            self._next_totals += _TOTALS_EVERY_SECONDS
            logger.info("Totals: %s", self)

    @property
    def all_delivered(self) -> bool:
        """Whether Kafka acknowledged every sent message."""
        return self.delivered == self.sent

    def log_summary(self) -> None:
        """Logs the totals and the throughput at the end of the run."""
        seconds = max(self._clock() - self._started, 1e-6)
        logger.info("Summary: %s | %.1f s, %.1f messages/s", self, seconds, self.delivered.total() / seconds)

    def __str__(self) -> str:
        sent, delivered, failed = self.sent.total(), self.delivered.total(), self.failed.total()
        kinds = ", ".join(f"{kind.value} {self.delivered[kind]}" for kind in MessageKind)
        return (
            f"sent {sent}, delivered {delivered}, failed {failed}, "
            f"unacknowledged {sent - delivered - failed} | delivered by kind: {kinds}"
        )
