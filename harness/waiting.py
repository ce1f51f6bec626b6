"""Waiting for a condition, with a limit and a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import docker
import requests
from elasticsearch import ApiError, TransportError
from elasticsearch.helpers import ScanError
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.clients.kafka import TopicError

T = TypeVar("T")
NOT_YET = (
    *(AssertionError, requests.RequestException, docker.errors.APIError),
    *(ApiError, TransportError, ScanError, TopicError),
)


def eventually(ask: Callable[[], T], limit_seconds: float, every_seconds: float = 1.0) -> T:
    """The answer of `ask`, asked until its assertions hold (or the thing asked is reachable), within a limit."""
    try:
        return Retrying(
            retry=retry_if_exception_type(NOT_YET),
            stop=stop_after_delay(limit_seconds),
            wait=wait_fixed(every_seconds),
        )(ask)
    except RetryError as error:
        raise AssertionError(f"still not so after {limit_seconds:.0f} s: {error.last_attempt.exception()}") from error
