"""At the start: a service that is not there yet is waited for, with a limit.

Once the queries run there is none: a batch in hand waits for as long as it takes (`job.bulk`, `job.dead_letters`).
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from job.errors import JobError

log = logging.getLogger(__name__)

T = TypeVar("T")

# Longer than any server of ours takes to start; short enough that a wrong address shows as a job that ends.
LIMIT_SECONDS = 120


def wait_until_available(
    service: str, ask: Callable[[], T], will_pass: Callable[[BaseException], bool], complaint: Callable[[Any], str]
) -> T:
    """The answer of `ask`, asked again after each error that will pass; one line in the log for each attempt.

    `complaint` makes of such an error one line: the setting, what is wrong, what to check. Raises JobError with that
    line when the limit is over, and any other error as it comes.
    """

    def said(state: RetryCallState) -> str:
        assert state.outcome is not None
        return complaint(state.outcome.exception())

    def give_up(state: RetryCallState) -> T:
        raise JobError(f"{said(state)} Gave up after {LIMIT_SECONDS} s")

    retrying = Retrying(
        retry=retry_if_exception(will_pass),
        stop=stop_after_delay(LIMIT_SECONDS),
        wait=wait_random_exponential(multiplier=1, max=10),
        before_sleep=lambda state: log.warning("Waiting for %s: %s", service, said(state)),
        retry_error_callback=give_up,
    )
    return retrying(ask)
