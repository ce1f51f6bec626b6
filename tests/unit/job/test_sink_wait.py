"""Sink waits and progress are sent from the executors to the driver, which ignores all that others send to its port."""

import base64
import socket
from collections.abc import Iterator
from queue import SimpleQueue

import msgspec
import pytest

from job.sinks import sink_wait
from job.sinks.sink_wait import Address, ProgressReporter, Receiver, SinkProgress, SinkWait
from tests.unit.conftest import Clock

WAIT = SinkWait("Elasticsearch", "größer", 1.5)
Received = SimpleQueue[SinkWait | SinkProgress]


@pytest.fixture
def received() -> Received:
    return SimpleQueue()


@pytest.fixture
def driver(received: Received) -> Iterator[Address]:
    receiver = Receiver(received.put, received.put)
    yield receiver.address("127.0.0.1")
    receiver.close()


def datagram(address: Address, **fields: object) -> bytes:
    """A report with the driver's token, with other values for these fields of the wait."""
    return address.token + msgspec.json.encode(msgspec.to_builtins(WAIT) | fields)


def assert_ignored(driver: Address, data: bytes, received: Received) -> None:
    """Also: the next report is received."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.sendto(data, (driver.host, driver.port))
    sink_wait.send(driver, WAIT)
    assert received.get(timeout=5) == WAIT
    assert received.empty()


def test_sink_wait_reaches_the_driver(driver: Address, received: Received) -> None:
    sink_wait.send(driver, WAIT)
    assert received.get(timeout=5) == WAIT


def test_progress_of_a_long_task_reaches_the_driver(driver: Address, received: Received, clock: Clock) -> None:
    """At rest a task takes less than a second, and reports none."""
    report = ProgressReporter(driver, "statistics")
    report()
    for _ in range(12):
        clock.now += 1
        report()
    sink_wait.send(driver, WAIT)
    progress = SinkProgress("statistics")
    assert [received.get(timeout=5) for _ in range(3)] == [progress, progress, WAIT]


def test_unreachable_driver_does_not_fail_the_sink() -> None:
    sink_wait.send(Address("no-such-host.invalid", 1, b""), WAIT)


def test_datagram_without_the_drivers_token_is_ignored(driver: Address, received: Received) -> None:
    forged = msgspec.json.encode(SinkWait("Kafka", "forged", 60))
    of_another_start = Receiver(received.put, received.put)
    tokens = (b"", b"\0", driver.token[:-1], b"\0" + driver.token, of_another_start.address("").token)
    of_another_start.close()
    for token in tokens:
        assert_ignored(driver, token + forged, received)
        assert_ignored(driver, token, received)


@pytest.mark.parametrize("opening", [b'{"x":', b""], ids=["object", "array"])
def test_deeply_nested_datagram_is_ignored(driver: Address, received: Received, opening: bytes) -> None:
    nested = opening + b"[" * 8000
    assert_ignored(driver, nested, received)
    assert_ignored(driver, driver.token + nested, received)


@pytest.mark.parametrize(
    "fields",
    [{"seconds": 1e308}, {"seconds": -1}, {"service": "another label"}],
    ids=["too long", "negative", "unknown service"],
)
def test_invalid_wait_is_ignored(driver: Address, received: Received, fields: dict[str, object]) -> None:
    assert_ignored(driver, datagram(driver, **fields), received)


def test_datagram_that_is_not_json_is_ignored(driver: Address, received: Received) -> None:
    assert_ignored(driver, b"no JSON", received)
    assert_ignored(driver, driver.token, received)
    assert_ignored(driver, driver.token + b"no JSON", received)
    assert_ignored(driver, datagram(driver, reason="?").replace(b'"?"', b'"\xff"'), received)


def test_token_is_in_no_text() -> None:
    address = Address("spark-job", 1, b"secret")
    assert "secret" not in f"{address} {address!r}"
    assert base64.b64encode(b"secret").decode() not in repr(address)
