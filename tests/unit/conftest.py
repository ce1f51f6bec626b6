"""What unit tests of several parts share."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer


@pytest.fixture
def mock_kafka() -> Iterator[str]:
    """The address of librdkafka's mock broker, which speaks Kafka's protocol on a socket; with our two topics.

    No unit test needs a server; how the tools get on with a real one is the business of tests/stack.
    """
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    for topic in ("lol_matches", "lol_matches_dlq"):
        cluster.list_topics(topic, timeout=10)  # makes it
    yield f"{broker.host}:{broker.port}"
    del cluster
