"""Fixtures for all unit tests."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Distribute the tests over the parallel workers: by file, but all tests with Spark to one worker, so that only one
    starts a JVM. Spark's tests take longest and come first."""
    items.sort(key=lambda item: not _uses_spark(item))
    for item in items:
        item.add_marker(pytest.mark.xdist_group("spark" if _uses_spark(item) else item.path.name))


def _uses_spark(item: pytest.Item) -> bool:
    return "spark" in getattr(item, "fixturenames", ())


@pytest.fixture
def mock_kafka() -> Iterator[str]:
    """Address of librdkafka's mock broker, a Kafka broker in this process, with the topics lol_matches and its DLQ.

    Unit tests need no server. tests/stack runs the same tools against a real broker.
    """
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    for topic in ("lol_matches", "lol_matches_dlq"):
        cluster.list_topics(topic, timeout=10)  # creates the topic
    yield f"{broker.host}:{broker.port}"
    del cluster
