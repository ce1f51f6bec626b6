"""Retry with exponential backoff and jitter: without a limit for sinks, with a timeout at start-up."""

import threading
import time
from collections.abc import Callable

import pytest

from job import retry
from job.errors import JobError
from job.retry import TransientError, retry_with_backoff, wait_until_available


class Waits:
    """Records the backoffs: service, reason, seconds, attempts so far."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float, int]] = []

    def __call__(self, service: str, reason: str, seconds: float, attempt: int) -> None:
        self.calls.append((service, reason, seconds, attempt))


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


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
    assert [(service, reason, attempt) for service, reason, _, attempt in waits.calls] == [
        ("Kafka", "no answer", number) for number in range(1, 501)
    ]


def test_backoff_grows_exponentially_with_jitter_up_to_a_maximum() -> None:
    seconds: list[list[float]] = []
    for _ in range(50):
        waits = Waits()
        retry_with_backoff("Kafka", failing(8, TransientError("")), waits, max_seconds=5)
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


def test_stop_event_ends_the_backoff_at_once() -> None:
    stopping = threading.Event()
    started_at = time.monotonic()

    def stop_soon(_service: str, _reason: str, _seconds: float, _attempt: int) -> None:
        stopping.set()

    with pytest.raises(TransientError, match="down"):
        retry_with_backoff("Cassandra", failing(100, TransientError("down")), stop_soon, stopping, max_seconds=60)
    assert time.monotonic() < started_at + 1


def test_waits_at_start_up_until_the_service_is_available(caplog: pytest.LogCaptureFixture) -> None:
    result = wait_until_available(
        "Kafka",
        failing(2, OSError("refused")),
        lambda error: isinstance(error, OSError),
        lambda error: f"it is {error}",
    )
    assert result == "done"
    assert [record.message for record in caplog.records] == ["Waiting for Kafka: it is refused"] * 2


def test_start_up_timeout_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(JobError, match=r"^it is refused Gave up after 0\.01 s$"):
        wait_until_available(
            "Kafka",
            failing(10**6, OSError("refused")),
            lambda error: isinstance(error, OSError),
            lambda error: f"it is {error}",
        )


def test_permanent_error_at_start_up_is_raised_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="wrong"):
        wait_until_available("Kafka", failing(1, ValueError("wrong")), lambda error: isinstance(error, OSError), str)
    assert caplog.records == []
