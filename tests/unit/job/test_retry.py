"""Retry with exponential backoff and jitter: without a limit for sinks, with a timeout at start-up."""

import threading
from collections.abc import Callable

import pytest

from job.errors import JobError
from job.retry import TransientError, retry_with_backoff, wait_until_available
from tests.unit.conftest import Clock

pytestmark = pytest.mark.usefixtures("clock")


class Waits:
    """Records the backoffs: service, reason, seconds."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float]] = []

    def __call__(self, service: str, reason: str, seconds: float) -> None:
        self.calls.append((service, reason, seconds))


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A function that raises the error a number of times, then returns `done`."""
    errors = [error] * times

    def attempt() -> str:
        if errors:
            raise errors.pop()
        return "done"

    return attempt


def test_retries_without_a_limit_and_returns_the_result() -> None:
    waits = Waits()
    assert retry_with_backoff("Kafka", failing(500, TransientError("no answer")), waits) == "done"
    assert [(service, reason) for service, reason, _ in waits.calls] == [("Kafka", "no answer")] * 500


def test_backoff_grows_exponentially_with_jitter_up_to_a_maximum() -> None:
    seconds: list[list[float]] = []
    for _ in range(50):
        waits = Waits()
        retry_with_backoff("Kafka", failing(8, TransientError("")), waits)
        seconds.append([each[2] for each in waits.calls])
    longest = [max(column) for column in zip(*seconds, strict=True)]
    limits = [0.25, 0.5, 1, 2, 4, 5, 5, 5]
    assert all(limit / 2 < found <= limit for limit, found in zip(limits, longest, strict=True)), longest
    assert all(len(set(column)) > 1 for column in zip(*seconds, strict=True)), "there is no jitter"


def test_other_errors_are_not_retried() -> None:
    waits = Waits()
    with pytest.raises(ValueError, match="wrong"):
        retry_with_backoff("Kafka", failing(1, ValueError("wrong")), waits)
    assert waits.calls == []


class StoppedDuringTheSixthWait(threading.Event):
    """Set by another thread during the sixth wait. No wait takes any time."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        if self.waits == 6:
            self.set()
        return self.is_set()


def test_stop_event_ends_the_backoff_at_once(clock: Clock) -> None:
    stopping, waits, started_at = StoppedDuringTheSixthWait(), Waits(), clock.now
    with pytest.raises(TransientError, match="down"):
        retry_with_backoff("Cassandra", failing(100, TransientError("down")), waits, stopping)
    assert len(waits.calls) == 6
    assert clock.now == started_at, "it sleeps where the event does not wake it"


def test_waits_at_start_up_until_the_service_is_available(caplog: pytest.LogCaptureFixture) -> None:
    result = wait_until_available(
        "Kafka",
        failing(2, OSError("refused")),
        lambda error: isinstance(error, OSError),
        lambda error: f"it is {error}",
    )
    assert result == "done"
    assert [record.message for record in caplog.records] == ["Waiting for Kafka: it is refused"] * 2


def test_start_up_timeout_is_an_error_with_the_reason(clock: Clock) -> None:
    started_at = clock.now
    with pytest.raises(JobError, match=r"^it is refused Gave up after 120 s$"):
        wait_until_available(
            "Kafka",
            failing(10**6, OSError("refused")),
            lambda error: isinstance(error, OSError),
            lambda error: f"it is {error}",
        )
    assert 120 <= clock.now - started_at <= 130


def test_permanent_error_at_start_up_is_raised_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="wrong"):
        wait_until_available("Kafka", failing(1, ValueError("wrong")), lambda error: isinstance(error, OSError), str)
    assert caplog.records == []
