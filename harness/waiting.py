"""Polling: retries a check until it passes or a timeout expires."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import docker
import requests
from confluent_kafka import KafkaException
from docker.models.containers import Container
from elasticsearch import ApiError, TransportError
from elasticsearch.helpers import ScanError
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.clients.kafka import KafkaRequestError
from infra.clients.prometheus import PrometheusError

T = TypeVar("T")
RETRIED = (
    *(AssertionError, requests.RequestException, docker.errors.APIError),
    *(ApiError, TransportError, ScanError, KafkaRequestError, KafkaException, PrometheusError),
)
LIMIT_SECONDS = 180
"""Much longer than anything takes that is waited for, also on a slow and busy machine."""


def eventually(check: Callable[[], T], timeout_seconds: float = LIMIT_SECONDS, poll_seconds: float = 0.5) -> T:
    """Retry `check` until it returns, and return its result.

    Failed assertions and errors of a service that does not answer yet are retried. Raises AssertionError with the last
    of them when the timeout expires.
    """
    try:
        return Retrying(
            retry=retry_if_exception_type(RETRIED),
            stop=stop_after_delay(timeout_seconds),
            wait=wait_fixed(poll_seconds),
        )(check)
    except RetryError as error:
        raise AssertionError(f"timeout after {timeout_seconds:.0f} s: {error.last_attempt.exception()}") from error


def pause(container: Container) -> None:
    """Pause a container. Retried: the kernel cannot freeze processes that start others at that moment."""
    eventually(container.pause)
