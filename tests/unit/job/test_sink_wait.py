"""Sink waits are sent from the executors to the driver."""

from queue import SimpleQueue

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
