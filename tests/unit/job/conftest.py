"""Fixtures for the job's unit tests: its metrics and its health."""

import pytest
from prometheus_client import CollectorRegistry

from job.driver.health import JobHealth, QueryHealth
from job.driver.metrics import Metrics, QueryMetrics
from job.lag import ConsumerLag
from tests.support.sample_matches import ALIASES


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(ALIASES, registry)


@pytest.fixture
def query(metrics: Metrics) -> QueryMetrics:
    """The metrics of the query that indexes the documents."""
    return metrics.add_query("matches", ConsumerLag("lol_job_kafka_lag_messages", query="matches"))


@pytest.fixture
def health(metrics: Metrics) -> JobHealth:
    """The health of a job whose queries are not started, with its metrics."""
    health = JobHealth(
        QueryHealth("matches"),
        QueryHealth("statistics"),
        max_batch_age=60,
        attempt_seconds=30,
        on_wait=metrics.count_wait,
    )
    metrics.export_waits(health)
    return health
