"""Keeps count of what became of every message, and says so in the log."""

import logging
import time
from collections import Counter
from collections.abc import Callable

from generator.metrics import Metrics
from generator.stream import Kind, Message

logger = logging.getLogger("generator")

_TOTALS_EVERY_SECONDS = 60.0
# Up to this rate each message has its own line; above it one line a second stands for all.
MOST_LINES_A_SECOND = 10.0


class Throttle:
    """Lets one event a `period` (seconds) pass and counts the others."""

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._next = float("-inf")
        self._held_back = 0

    def passes(self) -> int | None:
        """How many were held back before this event; None when this one is held back too."""
        now = self._clock()
        if now < self._next:
            self._held_back += 1
            return None
        held_back, self._held_back, self._next = self._held_back, 0, now + self._period
        return held_back


class Report:
    """Counts by kind. A message is handed over, and then either delivered or failed."""

    def __init__(self, metrics: Metrics, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.sent: Counter[Kind] = Counter()
        self.delivered: Counter[Kind] = Counter()
        self.failed: Counter[Kind] = Counter()
        self._metrics = metrics
        self._clock = clock
        self._deliveries = Throttle(0.0 if 0 < rate <= MOST_LINES_A_SECOND else 1.0, clock)
        self._failures = Throttle(1.0, clock)
        self._started = clock()
        self._next_totals = self._started + _TOTALS_EVERY_SECONDS

    def on_sent(self, message: Message) -> None:
        """The message is in the producer's hands."""
        self.sent[message.kind] += 1

    def on_delivered(self, kind: Kind, text: str) -> None:
        """Kafka has acknowledged the message."""
        self.delivered[kind] += 1
        self._metrics.delivered(kind)
        held_back = self._deliveries.passes()
        if held_back is not None:
            more = f" (and {held_back} more)" if held_back else ""
            repeated = " (again)" if kind is Kind.DUPLICATE else ""
            logger.info("Sent: %s%s%s", text, repeated, more)

    def on_failed(self, kind: Kind, text: str, reason: str) -> None:
        """The message is lost."""
        self.failed[kind] += 1
        self._metrics.failed()
        held_back = self._failures.passes()
        if held_back is not None:
            more = f" (and {held_back} more)" if held_back else ""
            logger.warning("Not delivered: %s: %s%s", text, reason, more)

    def tick(self) -> None:
        """Writes the totals when it is time for them."""
        if self._clock() >= self._next_totals:
            self._next_totals += _TOTALS_EVERY_SECONDS
            logger.info("Totals: %s", self)

    @property
    def complete(self) -> bool:
        """Whether everything that was sent was acknowledged."""
        return self.delivered == self.sent

    def summary(self) -> None:
        """The closing line."""
        seconds = max(self._clock() - self._started, 1e-6)
        logger.info("Summary: %s | %.1f s, %.1f messages/s", self, seconds, self.delivered.total() / seconds)

    def __str__(self) -> str:
        sent, delivered, failed = self.sent.total(), self.delivered.total(), self.failed.total()
        kinds = ", ".join(f"{kind.value} {self.delivered[kind]}" for kind in Kind)
        return (
            f"sent {sent}, delivered {delivered}, failed {failed}, "
            f"unacknowledged {sent - delivered - failed} | delivered by kind: {kinds}"
        )
