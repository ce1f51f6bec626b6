"""The streaming queries: the refresh after a small batch, damaged state, and graceful shutdown."""

import json
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from py4j.protocol import Py4JError

from job.driver.checkpoints import StartingOffsets
from job.driver.health import JobHealth
from job.driver.metrics import Metrics, QueryMetrics
from job.driver.query import Queries, is_state_unreadable, refresh_small_batch, stop_gracefully
from job.driver.query_listener import QueryListener
from job.settings import with_overrides
from job.sinks.elasticsearch import Connection
from tests.support.fakes import fake_elasticsearch
from tests.unit.conftest import Clock

pytestmark = pytest.mark.usefixtures("clock")


class FakeQuery:
    """A streaming query over a backlog: a micro-batch of `seconds` follows the other while its read limit is not 0."""

    def __init__(self, seconds: float, adapts: bool = False) -> None:
        self.adapts = adapts
        self._seconds = seconds
        self._ends_at = float("inf")
        self.isActive = True
        self.stop_error: Exception | None = None
        self.name = "a query"

    def set_limit(self, messages: int) -> None:
        if messages:
            self._ends_at = float("inf")
        elif self._ends_at == float("inf"):
            self._ends_at = time.monotonic() + self._seconds

    @property
    def status(self) -> dict[str, Any]:
        is_active = time.monotonic() < self._ends_at
        if self.adapts and is_active:  # its last batch has changed the size of the next one
            self.adapts = False
            self.set_limit(1000)
        return {"isTriggerActive": is_active}

    def stop(self) -> None:
        self.isActive = False
        if self.stop_error:
            raise self.stop_error


@pytest.mark.parametrize(
    ("offsets", "indices", "refreshed"),
    [
        (200, {"lol_teams_stream-2026.10", "lol_matches_stream-2026.10", "lol_matches_stream-2026.11"}, True),
        (201, {"lol_matches_stream-2026.11"}, False),
        (200, set(), False),
    ],
    ids=["small batch", "batch of a backlog", "dead letters only"],
)
def test_indices_that_a_small_batch_has_written_are_refreshed(offsets: int, indices: set[str], refreshed: bool) -> None:
    with fake_elasticsearch() as server:
        refresh_small_batch(Connection((server.url,), 5), offsets, indices)
    assert server.paths == ([f"/{','.join(sorted(indices))}/_refresh"] if refreshed else [])


@pytest.mark.parametrize(("name", "seconds"), [("matches", 1), ("statistics", 10)])
def test_batch_size_is_by_the_partitions_at_first_and_then_by_the_duration_of_batches(
    monkeypatch: pytest.MonkeyPatch, metrics: Metrics, query: QueryMetrics, health: JobHealth, name: str, seconds: int
) -> None:
    """With a fake of Spark, without messages."""
    settings = with_overrides(
        {"batch": {"max_messages_per_second_and_partition": 10}, "window": {"update_seconds": 10}}
    )
    spark, other = MagicMock(), MagicMock()
    reader = spark.newSession().readStream.format()
    reader.options.return_value = reader.option.return_value = reader
    listeners: list[QueryListener] = []
    monkeypatch.setattr(QueryListener, "register", lambda listener, _: listeners.append(listener))
    sizes: list[int] = []
    monkeypatch.setattr("job.driver.query.set_max_offsets", lambda _, __, messages: sizes.append(messages))
    start = getattr(Queries(spark, settings, other, other, health, metrics, other), f"start_{name}")
    start(StartingOffsets("lol_matches", {0: 0, 1: 5, 2: 7}), query)
    first = 3 * 10 * seconds
    reader.option.assert_any_call("maxOffsetsPerTrigger", first)
    batch = {
        "batchId": 0,
        "numInputRows": first,
        "durationMs": {"triggerExecution": 10},
        "sources": [{"startOffset": {"lol_matches": {"0": 0}}, "endOffset": {"lol_matches": {"0": first}}}],
        "stateOperators": [],
    }
    listeners[0].onQueryProgress(SimpleNamespace(progress=lambda: SimpleNamespace(json=lambda: json.dumps(batch))))
    assert sizes == [4 * first]


@pytest.mark.parametrize(
    ("batch_seconds", "in_time"), [((0.0, 0.0), True), ((0.0, 20.0), True), ((20.0, 0.0), True), ((0.0, 60.0), False)]
)
def test_graceful_shutdown_waits_for_the_current_batches_and_starts_no_other(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, batch_seconds: tuple[float, float], in_time: bool
) -> None:
    """That Kafka's source keeps to a limit of 0: tests/stack."""
    queries: Any = [FakeQuery(batch_seconds[0]), FakeQuery(batch_seconds[1], adapts=batch_seconds[1] > 0)]
    monkeypatch.setattr("job.driver.query.set_max_offsets", lambda _, query, messages: query.set_limit(messages))
    spark: Any = None
    started_at = clock.now
    assert stop_gracefully(spark, queries, grace_seconds=50) == in_time
    assert min(max(batch_seconds), 50) <= clock.now - started_at <= min(max(batch_seconds), 50) + 1
    assert not any(query.isActive for query in queries)


def test_query_that_does_not_stop_does_not_keep_the_others_from_stopping(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread waits for Kafka."""
    queries: Any = [FakeQuery(60.0), FakeQuery(0.0)]
    queries[0].stop_error = Py4JError("a timeout")
    monkeypatch.setattr("job.driver.query.set_max_offsets", lambda _, query, messages: query.set_limit(messages))
    spark: Any = None
    assert not stop_gracefully(spark, queries, grace_seconds=50)
    assert caplog.messages == ["The query a query does not stop: a timeout"]
    assert not queries[1].isActive


def state_error(*causes: str) -> str:
    """The end of a query whose state cannot be loaded, with its stack trace."""
    kind = "CANNOT_LOAD_STATE_STORE.UNCATEGORIZED"
    lines = [
        f"org.apache.spark.SparkException: [{kind}] An error occurred during loading state. Cannot load state store.",
        "\tat org.apache.spark.sql.execution.streaming.state.StateStore$.get(StateStore.scala:1)",
    ]
    for cause in causes:
        lines += [f"Caused by: {cause}", "\tat java.base/java.io.FileInputStream.open0(Native Method)", "\t... 28 more"]
    return "\n".join(lines)


FILE = "file:/srv/TimeoutException/Hosts/statistics/state/0/0/1.delta"


@pytest.mark.parametrize(
    "cause",
    [
        f"java.io.FileNotFoundException: {FILE} (No such file or directory)",
        f"java.io.FileNotFoundException: File {FILE} does not exist",
        f"org.apache.hadoop.ipc.RemoteException(java.io.FileNotFoundException): File does not exist: {FILE}",
        f"software.amazon.awssdk.services.s3.model.NoSuchKeyException: {FILE}",
        "java.io.EOFException",
        "java.io.IOException: Stream is corrupted",
        "com.github.luben.zstd.ZstdIOException: Unknown frame descriptor",
        f"org.apache.spark.SparkException: [CANNOT_READ_DELTA_FILE_KEY_SIZE] Error reading delta file {FILE}",
        "java.lang.NegativeArraySizeException: -7",
        "java.io.IOException: Input/output error",
    ],
)
def test_state_that_is_missing_or_damaged_is_unreadable(cause: str) -> None:
    assert is_state_unreadable(state_error(cause))
    assert is_state_unreadable(state_error(f"java.io.IOException: Error reading {FILE}", cause))


@pytest.mark.parametrize(
    "cause",
    [
        f"java.io.FileNotFoundException: {FILE} (Too many open files)",
        f"java.io.FileNotFoundException: {FILE} (Permission denied)",
        f"java.nio.file.FileSystemException: {FILE}: Too many open files",
        f"java.nio.file.AccessDeniedException: {FILE}",
        f"org.apache.hadoop.security.AccessControlException: Permission denied: user=spark, inode={FILE}",
        "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.ipc.StandbyException): Operation category READ",
        "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.hdfs.server.namenode.SafeModeException): Zero blocks",
        "java.net.ConnectException: Connection refused",
        "java.net.SocketException: Connection reset",
        "java.net.SocketTimeoutException: Read timed out",
        "java.net.UnknownHostException: namenode",
        "java.net.NoRouteToHostException: No route to host",
        "software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request",
        "java.io.InterruptedIOException: getFileStatus",
        "java.lang.InterruptedException",
    ],
)
def test_state_that_cannot_be_read_at_present_is_not_unreadable(cause: str) -> None:
    """The next start reads it: its windows must not be dropped."""
    assert not is_state_unreadable(state_error(cause))
    assert not is_state_unreadable(state_error(f"java.io.IOException: Error reading {FILE}", cause))
