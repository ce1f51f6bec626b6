"""Fixtures for all unit tests."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer


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
