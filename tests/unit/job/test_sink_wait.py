"""Sink waits are sent from the executors to the driver."""

import socket
from queue import SimpleQueue

import pytest

from job.sinks import sink_wait
from job.sinks.sink_wait import Address, Receiver, SinkWait


def test_sink_wait_reaches_the_driver() -> None:
    received: SimpleQueue[SinkWait] = SimpleQueue()
    receiver = Receiver(received.put)
    wait = SinkWait("Kafka", "größer", 1.5, 2)
    sink_wait.send(Address("127.0.0.1", receiver.port), wait)
    assert received.get(timeout=5) == wait
    receiver.close()


def test_unreachable_driver_does_not_fail_the_sink() -> None:
    sink_wait.send(Address("no-such-host.invalid", 1), SinkWait("Kafka", "", 0, 1))


@pytest.mark.parametrize(
    "datagram",
    [
        b'{"service":"Kafka","reason":"\xff","seconds":1,"attempt":1}',
        b'{"service":"Kafka","reason":"no end","seconds":1e308,"attempt":1}',
        b'{"service":"another label","reason":"","seconds":1,"attempt":1}',
        b"no JSON",
    ],
    ids=["not UTF-8", "too long", "unknown service", "not JSON"],
)
def test_foreign_datagram_is_ignored(datagram: bytes) -> None:
    received: SimpleQueue[SinkWait] = SimpleQueue()
    receiver = Receiver(received.put)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.sendto(datagram, ("127.0.0.1", receiver.port))
    wait = SinkWait("Elasticsearch", "it answers 429", 1.5, 2)
    sink_wait.send(Address("127.0.0.1", receiver.port), wait)
    assert received.get(timeout=5) == wait
    receiver.close()
