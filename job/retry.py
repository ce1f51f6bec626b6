"""Retry with exponential backoff and jitter: with a timeout at start-up, without one while data is processed.

At start-up a dependency that stays away is more likely a wrong setting, so the job ends. Once the query runs, a batch
waits for its sinks for as long as an outage lasts: no message is lost, and recovery is automatic.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    sleep,
    sleep_using_event,
    stop_after_delay,
    stop_never,
    stop_when_event_set,
    wait_random_exponential,
)

from job.errors import JobError

log = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 120
"""The start-up timeout: longer than any server of the stack takes to start, and short enough that a wrong address ends
the job soon."""

_FIRST_BACKOFF_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 5.0


class TransientError(Exception):
    """A service refused something for a reason that can pass, such as an outage. The message is the reason."""


OnWait = Callable[[str, str, float], None]
"""Called before each backoff with: service, reason, seconds until the next attempt."""

OnProgress = Callable[[], None]
"""Called when a service has acknowledged a request."""


def wait_until_available(
    service: str,
    attempt: Callable[[], T],
    is_transient: Callable[[BaseException], bool],
    describe: Callable[[Any], str],
) -> T:
    """Retry `attempt` at start-up until the service is available, with a timeout; return its result.

    Logs a line for each retry. `describe` turns a transient error into one line: the setting, what is wrong, what to
    check. Raises JobError with that line after TIMEOUT_SECONDS, and any other error at once.
    """

    def reason(state: RetryCallState) -> str:
        assert state.outcome is not None
        return describe(state.outcome.exception())

    def give_up(state: RetryCallState) -> T:
        raise JobError(f"{reason(state)} Gave up after {TIMEOUT_SECONDS} s")

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(TIMEOUT_SECONDS),
        wait=wait_random_exponential(multiplier=1, max=10),
        before_sleep=lambda state: log.warning("Waiting for %s: %s", service, reason(state)),
        retry_error_callback=give_up,
    )
    return retrying(attempt)


def log_wait(service: str, reason: str, seconds: float) -> None:
    """Log a line before a backoff: an `on_wait` of `retry_with_backoff`."""
    log.warning("Waiting %.1f s for %s: %s", seconds, service, reason)


def ignore_progress() -> None:
    """An OnProgress that does nothing."""


def retry_with_backoff(
    service: str, attempt: Callable[[], T], on_wait: OnWait, stopping: threading.Event | None = None
) -> T:
    """Retry `attempt` without a limit while it raises TransientError; return its result.

    The backoff grows exponentially, with jitter, up to a limit. Where `stopping` is given and becomes set, the backoff
    ends and the last TransientError is raised.
    """

    def before_sleep(state: RetryCallState) -> None:
        reason = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        on_wait(service, str(reason), seconds)

    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=_FIRST_BACKOFF_SECONDS, max=_MAX_BACKOFF_SECONDS),
        stop=stop_never if stopping is None else stop_when_event_set(stopping),
        sleep=sleep if stopping is None else sleep_using_event(stopping),
        before_sleep=before_sleep,
        reraise=True,
    )
    return retrying(attempt)
