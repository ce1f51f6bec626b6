"""The job's health: whether its queries progress or stall, and which service they wait for. Without Prometheus."""

import logging
import threading
import time
from collections.abc import Callable

from job.printable import escape
from job.sinks.sink_wait import SinkProgress, SinkWait
from job.topic import TopicOffsets

log = logging.getLogger(__name__)

_WAIT_LOG_INTERVAL_SECONDS = 10
_WAIT_MARGIN_SECONDS = 5


class QueryHealth:
    """The health of one streaming query: whether it runs, its last activity, and the wait of its sinks. Thread-safe."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last_activity_at = time.monotonic()
        self.was_started = False
        self.first_batch = threading.Event()
        """Set once a batch has finished, or the query has been idle."""
        self.sink_wait_until = 0.0
        self._sink_wait: SinkWait | None = None
        self._is_running = False

    def query_started(self) -> None:
        """Record that the query runs; it is healthy from its first batch on."""
        self.was_started = self._is_running = True
        self.first_batch.clear()
        self.last_activity_at = time.monotonic()

    def query_terminated(self) -> None:
        """Record that the query has ended."""
        self._is_running = False

    def batch_finished(self) -> None:
        """Record that a batch has finished, or that the query is idle: it has processed everything in the topic."""
        self.sink_wait_until = min(self.sink_wait_until, time.monotonic())  # the wait is over
        self.first_batch.set()
        self.last_activity_at = time.monotonic()

    def made_progress(self) -> None:
        """Record progress within a batch: a query whose batch takes long does not hang."""
        self.last_activity_at = time.monotonic()

    def record_sink_wait(self, wait: SinkWait, until: float) -> None:
        """Record that a sink of the query waits until this time of the monotonic clock."""
        self._sink_wait, self.sink_wait_until = wait, until

    def sink_wait(self) -> SinkWait | None:
        """The wait of a sink of the query; None if none waits."""
        return self._sink_wait if time.monotonic() < self.sink_wait_until else None

    def unhealthy_reason(self, max_batch_age: float) -> str:
        """Why the query is unhealthy; empty while it is healthy. `max_batch_age`: seconds that it may be inactive."""
        age = time.monotonic() - self.last_activity_at
        if not self._is_running:
            return f"query {self.name} is not running"
        if not self.first_batch.is_set():
            return f"query {self.name} has not finished its first batch"
        if age > max_batch_age:
            return f"query {self.name} has made no progress for {age:.0f} s"
        return ""


class JobHealth:
    """The health of the job, which follows from that of its two queries and from the topic's. Thread-safe.

    `matches` is the query of the documents, which must run. `statistics` starts after the first batch of `matches`, and
    counts from then on.
    """

    def __init__(
        self,
        matches: QueryHealth,
        statistics: QueryHealth,
        max_batch_age: float,
        attempt_seconds: float,
        on_wait: Callable[[str], object],
    ) -> None:
        """`max_batch_age` (seconds) is the time without progress after which a query, and with it the job, is
        unhealthy. `attempt_seconds` is how long a sink's attempt takes at most. `on_wait` receives the service at each
        retry while it is not available.
        """
        self.matches = matches
        self.statistics = statistics
        self._max_batch_age = max_batch_age
        self._attempt_seconds = attempt_seconds
        self._on_wait = on_wait
        self._wait_logged_at = 0.0
        self._topic_wait: SinkWait | None = None
        self._topic_waited_at = 0.0

    def record_sink_wait(self, wait: SinkWait) -> None:
        """Record that a sink waits before a retry. Several tasks wait at once, so the log line is rate limited.

        The wait lasts until the attempt that follows must have ended, or the query finishes a batch.
        """
        self._announce(wait)
        until = time.monotonic() + wait.seconds + self._attempt_seconds + _WAIT_MARGIN_SECONDS
        for query in self._named(wait.query):
            query.record_sink_wait(wait, until)

    def record_sink_progress(self, progress: SinkProgress) -> None:
        """Record that a service has acknowledged a request of a task."""
        for query in self._named(progress.query):
            query.made_progress()

    def record_topic_wait(self, reason: str) -> None:
        """Record that the topic cannot be read, until its offsets are known again."""
        wait = SinkWait("Kafka", reason, 0)
        self._announce(wait)
        self._topic_wait, self._topic_waited_at = wait, time.monotonic()

    def set_topic_offsets(self, offsets: TopicOffsets) -> None:
        """Record that the topic can be read, because its present offsets are known; empty if they are not."""
        if offsets:
            self._topic_wait = None

    def waits_for_topic(self) -> bool:
        """Whether the topic cannot be read at present."""
        return self._topic_wait is not None

    def waits_for(self, query: QueryHealth, service: str) -> bool:
        """Whether the query waits for the service at present."""
        wait = self._wait_of(query)
        return wait is not None and wait.service == service

    def current_wait(self) -> SinkWait | None:
        """The wait for a service that is not available at present; None if all are."""
        return next(iter(self._current_waits()), None)

    def wait_reason(self) -> str:
        """Which service the job waits for at present, and why, in one line; empty if all are available."""
        return _describe(self.current_wait())

    def unhealthy_reason(self) -> str:
        """Why the job is unhealthy, with the service that its query waits for; empty while it is healthy."""
        if (reason := self._unhealthy(self.matches)) or not self.statistics.was_started:
            return reason
        return self._unhealthy(self.statistics)

    def hanging_reason(self) -> str:
        """Why a query hangs: it has made no progress although it has not waited for a service. Empty if none does.

        A wait for the topic is an excuse for both queries. The documents' wait is one for the statistics too: tasks
        that wait can hold every core. The statistics' wait is none for the documents.
        """
        matches_waited_at = max(self.matches.sink_wait_until, self._topic_waited_at)
        if (reason := self._hanging(self.matches, matches_waited_at)) or not self.statistics.was_started:
            return reason
        return self._hanging(self.statistics, max(self.statistics.sink_wait_until, matches_waited_at))

    def _unhealthy(self, query: QueryHealth) -> str:
        reason = query.unhealthy_reason(self._max_batch_age)
        return reason and "; ".join(filter(None, (reason, _describe(self._wait_of(query)))))

    def _hanging(self, query: QueryHealth, waited_at: float) -> str:
        """Why the query hangs, which had an excuse until `waited_at`; empty if it does not."""
        if time.monotonic() - max(query.last_activity_at, waited_at) > self._max_batch_age:
            return query.unhealthy_reason(self._max_batch_age)
        return ""

    def _named(self, name: str) -> list[QueryHealth]:
        """The query of this name, both without a name."""
        return [query for query in (self.matches, self.statistics) if name in (query.name, "")]

    def _wait_of(self, query: QueryHealth) -> SinkWait | None:
        """The wait of the query's sinks, or else that for the topic; None if all services are available."""
        return query.sink_wait() or self._topic_wait

    def _current_waits(self) -> list[SinkWait]:
        """The wait of each query's sinks, that of the documents first, and the wait for the topic."""
        waits = (self.matches.sink_wait(), self.statistics.sink_wait(), self._topic_wait)
        return [wait for wait in waits if wait is not None]

    def _announce(self, wait: SinkWait) -> None:
        now = time.monotonic()
        is_new = wait.service not in {current.service for current in self._current_waits()}
        if is_new or now > self._wait_logged_at + _WAIT_LOG_INTERVAL_SECONDS:
            log.warning("Waiting for %s: %s; retrying", wait.service, wait.reason)
            self._wait_logged_at = now
        self._on_wait(wait.service)


def _describe(wait: SinkWait | None) -> str:
    """The service and the reason of a wait in one line; empty without a wait."""
    return f"waiting for {wait.service}: {escape(wait.reason)}" if wait else ""
