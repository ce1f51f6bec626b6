"""Fixtures for the job's unit tests: its metrics."""

import pytest
from prometheus_client import CollectorRegistry

from job.driver.metrics import Metrics, QueryMetrics
from job.lag import ConsumerLag
from tests.support.sample_matches import ALIASES


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(ALIASES, max_batch_age=60, attempt_seconds=30, registry=registry)


@pytest.fixture
def query(metrics: Metrics) -> QueryMetrics:
    """The query that indexes the documents."""
    return metrics.add_query("matches", ConsumerLag("lol_job_kafka_lag_messages", query="matches"))
