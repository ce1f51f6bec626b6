"""Where the queries start, and data loss: messages that Kafka has lost, and damaged checkpoints."""

from datetime import UTC, datetime
from typing import Any

import pytest

from job.driver.checkpoints import CorruptCheckpointError, StartingOffsets
from job.driver.starting_offsets import StartResolver
from job.errors import JobError
from job.settings import StartingPosition
from job.topic import Incarnation

HERE = Incarnation("lol_matches", "cluster", "topic-2", (0, 1))
SAVED = StartingOffsets("lol_matches", {0: 7, 1: 7})


class FakeTopicInspector:
    """Fake TopicInspector: start offset 5, end offset 9, unless they are given, and offset 7 for any time."""

    def __init__(self, begin: int = 5, end: int = 9) -> None:
        self._known: dict[StartingPosition, int] = {"earliest": begin, "latest": end}

    def offsets(self, incarnation: Incarnation, position: StartingPosition) -> dict[int, int]:
        return dict.fromkeys(incarnation.partitions, self._known.get(position, 7))


class FakeCheckpoints:
    """Fake Checkpoints in memory (the real ones: test_checkpoints)."""

    folder = "/checkpoints/cluster/topic-2"

    def __init__(
        self,
        saved: StartingOffsets | None = None,
        other: bool = False,
        writable: bool = True,
        committed: dict[str, dict[int, int]] | None = None,
        damaged: str = "",
    ) -> None:
        self.saved = saved
        self.saved_of: dict[str, StartingOffsets] = {}
        self.committed = committed or {}
        self.damaged = damaged
        self.other = other
        self.writable = writable

    def split(self, query: str, stateful: str) -> None:
        assert (query, stateful) == ("matches", "statistics")

    def check_writable(self) -> None:
        if not self.writable:
            raise JobError("not writable")

    def starting_offsets(self, query: str = "") -> StartingOffsets | None:
        if query and f"{query}-start.json" == self.damaged:
            raise CorruptCheckpointError(f"{self.damaged} is corrupt", "remove the folder")
        return self.saved_of.get(query) if query else self.saved

    def committed_offsets(self, query: str) -> dict[int, int]:
        if query == self.damaged:
            raise CorruptCheckpointError(f"{query}/offsets/7 is corrupt", "remove the folder")
        return self.readable_offsets(query)

    def readable_offsets(self, query: str) -> dict[int, int]:
        return self.committed.get(query, {})

    def remove(self, query: str) -> None:
        self.committed.pop(query, None)
        if query == self.damaged:
            self.damaged = ""

    def has_other_incarnation(self) -> bool:
        return self.other

    def save(self, start: StartingOffsets, query: str = "") -> None:
        if query:
            self.saved_of[query] = start
            self.damaged = self.damaged.removeprefix(f"{query}-start.json")
        else:
            self.saved = start

    def remove_replaced(self) -> None:
        assert self.saved, "starting offsets must be saved before old checkpoints are removed"
        self.other = False


def resolve(position: StartingPosition, checkpoints: Any, has_indexed_matches: bool = False) -> StartingOffsets:
    kafka: Any = FakeTopicInspector()
    return StartResolver(kafka, HERE, checkpoints).start_of_matches(position, lambda: has_indexed_matches)


@pytest.mark.parametrize(
    ("position", "offset"), [("latest", 9), ("earliest", 5), (datetime(2026, 11, 24, 6, tzinfo=UTC), 7)]
)
def test_first_start_resolves_the_setting_and_saves_the_offsets(position: StartingPosition, offset: int) -> None:
    checkpoints = FakeCheckpoints()
    start = resolve(position, checkpoints)
    assert start == StartingOffsets("lol_matches", {0: offset, 1: offset})
    assert checkpoints.saved == start


def test_recreated_topic_is_read_from_its_beginning_and_old_checkpoints_are_removed() -> None:
    checkpoints = FakeCheckpoints(other=True)
    assert resolve("latest", checkpoints).offsets == {0: 5, 1: 5}
    assert not checkpoints.other


def test_topic_whose_checkpoint_was_lost_is_read_from_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    """With `latest`, the messages since the last commit would be skipped."""
    checkpoints = FakeCheckpoints()
    start = resolve("latest", checkpoints, has_indexed_matches=True)
    assert start == checkpoints.saved == StartingOffsets("lol_matches", {0: 5, 1: 5})
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "There is no checkpoint of topic lol_matches, but its matches are indexed" in warning
    assert "Windows of the statistics whose first messages have expired are partial" in warning


def test_starting_offsets_are_not_saved_while_elasticsearch_is_not_available() -> None:
    def unavailable() -> bool:
        raise JobError("Elasticsearch is not available")

    checkpoints: Any = FakeCheckpoints()
    kafka: Any = FakeTopicInspector()
    with pytest.raises(JobError, match="not available"):
        StartResolver(kafka, HERE, checkpoints).start_of_matches("latest", unavailable)
    assert checkpoints.saved is None


@pytest.mark.parametrize(("position", "offset"), [("earliest", 5), (datetime(2026, 11, 24, 6, tzinfo=UTC), 7)])
@pytest.mark.parametrize(("other", "has_indexed_matches"), [(True, False), (False, True)])
def test_explicit_starting_offsets_apply_without_a_checkpoint_of_this_incarnation(
    position: StartingPosition, offset: int, other: bool, has_indexed_matches: bool
) -> None:
    checkpoints = FakeCheckpoints(other=other)
    assert resolve(position, checkpoints, has_indexed_matches).offsets == {0: offset, 1: offset}


def test_saved_starting_offsets_win_over_the_setting() -> None:
    checkpoints = FakeCheckpoints(SAVED, other=True)
    assert resolve("earliest", checkpoints, has_indexed_matches=True) == SAVED
    assert not checkpoints.other


def test_partition_added_later_is_read_from_its_beginning() -> None:
    checkpoints = FakeCheckpoints(StartingOffsets("lol_matches", {0: 7}))
    assert resolve("latest", checkpoints).offsets == {0: 7, 1: -2}
    assert checkpoints.saved == StartingOffsets("lol_matches", {0: 7})


def test_messages_of_an_added_partition_that_expired_are_reported() -> None:
    """Spark would read it from offset 0. The query has committed a batch without that partition."""
    start = StartingOffsets("lol_matches", {0: 7})
    with pytest.raises(JobError, match=r"messages: 0-4 of partition 1 expired .* before they were read"):
        resolve("latest", FakeCheckpoints(start, committed={"matches": {0: 9}, "statistics": {0: 9}}))


BEHIND, UP_TO_DATE = {0: 2, 1: 5}, {0: 9, 1: 9}


@pytest.mark.parametrize(
    ("start", "committed"),
    [
        ({0: 2, 1: 7}, {}),
        ({0: 0, 1: 0}, {"matches": BEHIND, "statistics": UP_TO_DATE}),
    ],
    ids=["before the first batch", "of the documents"],
)
def test_data_loss_by_retention_is_reported_with_remedy(
    start: dict[int, int], committed: dict[str, dict[int, int]]
) -> None:
    with pytest.raises(
        JobError, match=r"messages: 2-4 of partition 0 expired .* before they were read.* folder /checkpoints/cluster"
    ):
        resolve("latest", FakeCheckpoints(StartingOffsets("lol_matches", start), committed=committed))


def test_data_loss_of_messages_already_read_is_reported() -> None:
    """As after a crash of Kafka's machine. Spark would end with `offset was changed` at every restart."""
    with pytest.raises(
        JobError, match=r"messages: 9-11 of partition 1, which were read .* folder /checkpoints/cluster"
    ):
        resolve(
            "latest",
            FakeCheckpoints(StartingOffsets("lol_matches", {0: 5, 1: 5}), committed={"matches": {0: 9, 1: 12}}),
        )


def start_of_statistics(checkpoints: Any, skipped: list[int]) -> StartingOffsets:
    kafka: Any = FakeTopicInspector()
    return StartResolver(kafka, HERE, checkpoints).start_of_statistics(resolve("latest", checkpoints), skipped.append)


@pytest.mark.parametrize(
    ("of_statistics", "skipped"),
    [(BEHIND, 6 + 3), ({0: 9, 1: 12}, 0)],
    ids=["expired before they were read", "lost after they were read"],
)
def test_data_loss_of_the_statistics_restarts_them_alone_where_the_documents_continue(
    of_statistics: dict[int, int], skipped: int, caplog: pytest.LogCaptureFixture
) -> None:
    start = StartingOffsets("lol_matches", {0: 0, 1: 0})
    of_documents = {0: 8, 1: 8}
    checkpoints = FakeCheckpoints(start, committed={"matches": of_documents, "statistics": of_statistics})
    counted: list[int] = []
    assert start_of_statistics(checkpoints, counted).offsets == of_documents
    assert counted == [skipped]
    assert checkpoints.committed == {"matches": of_documents}, "only the statistics' checkpoint is removed"
    assert checkpoints.saved == start
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("Topic lol_matches has lost messages of the statistics: ")
    assert f"{skipped} messages later; no document is missing" in warning


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [("statistics", "statistics/offsets/7 is corrupt"), ("statistics-start.json", "statistics-start.json is corrupt")],
)
def test_damaged_checkpoint_of_the_statistics_restarts_them_alone_where_the_documents_continue(
    damaged: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    start = StartingOffsets("lol_matches", {0: 0, 1: 0})
    committed = {"matches": {0: 8, 1: 8}, "statistics": {0: 6, 1: 7}}
    checkpoints = FakeCheckpoints(start, committed=committed, damaged=damaged)
    skipped: list[int] = []
    assert start_of_statistics(checkpoints, skipped).offsets == {0: 8, 1: 8}
    assert skipped == [2 + 1]
    assert checkpoints.committed == {"matches": {0: 8, 1: 8}}, "only the statistics' checkpoint is removed"
    assert checkpoints.saved == start
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(f"The checkpoint of the statistics is damaged: {problem}. Their ")
    assert "remove the folder" not in warning
    assert "3 messages later; no document is missing" in warning


def test_damaged_checkpoint_of_the_documents_ends_the_job() -> None:
    checkpoints = FakeCheckpoints(SAVED, committed={"matches": UP_TO_DATE}, damaged="matches")
    with pytest.raises(JobError, match="remove the folder"):
        resolve("latest", checkpoints)


def first_retained(checkpoints: Any, skipped: list[int], begin: int = 500_000) -> dict[int, int]:
    """Where statistics without a committed batch start, in a topic whose messages before `begin` have expired."""
    kafka: Any = FakeTopicInspector(begin, end=1_000_000)
    resolver = StartResolver(kafka, HERE, checkpoints)
    return resolver.start_of_statistics(resolver.start_of_matches("latest", lambda: True), skipped.append).offsets


@pytest.mark.parametrize(
    ("start", "begin_of_statistics", "skipped"),
    [
        ({0: 0, 1: 700_000}, {0: 500_000, 1: 700_000}, 500_000),
        ({0: 0}, {0: 500_000, 1: -2}, 500_000),  # partition 1 was added
    ],
)
def test_statistics_whose_checkpoint_was_removed_are_computed_again_from_the_first_retained_message(
    start: dict[int, int], begin_of_statistics: dict[int, int], skipped: int, caplog: pytest.LogCaptureFixture
) -> None:
    committed = {"matches": {0: 900_000, 1: 900_000}}
    checkpoints = FakeCheckpoints(StartingOffsets("lol_matches", start), committed=committed)
    counted: list[int] = []
    assert first_retained(checkpoints, counted) == begin_of_statistics
    assert counted == [skipped]
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "0-499,999 of partition 0 expired" in warning
    assert "start from zero at the first messages that Kafka has, 500000 messages later" in warning
    assert first_retained(checkpoints, counted) == begin_of_statistics, "the same at a start before their first batch"
    assert counted == [skipped]
    assert first_retained(checkpoints, counted, begin=600_000)[0] == 600_000
    assert counted == [skipped, 100_000]


def test_statistics_start_with_the_documents_if_both_checkpoints_were_lost() -> None:
    skipped: list[int] = []
    assert first_retained(FakeCheckpoints(), skipped) == {0: 500_000, 1: 500_000}
    assert skipped == []


def test_statistics_that_have_committed_nothing_since_a_data_loss_skip_no_more() -> None:
    """Their index was not available, or the job crashed, while the documents went on."""
    start = StartingOffsets("lol_matches", {0: 0, 1: 0})
    checkpoints = FakeCheckpoints(start, committed={"matches": {0: 7, 1: 7}, "statistics": BEHIND})
    skipped: list[int] = []
    first = start_of_statistics(checkpoints, skipped)
    checkpoints.committed["matches"] = {0: 9, 1: 9}
    assert start_of_statistics(checkpoints, skipped) == first
    assert len(skipped) == 1


def test_statistics_without_data_loss_keep_their_checkpoint() -> None:
    """Partition 1 was added, so that the query reads it from its beginning."""
    start = StartingOffsets("lol_matches", {0: 7})
    for of_statistics in ({}, {0: 6, 1: 6}):
        checkpoints = FakeCheckpoints(start, committed={"matches": UP_TO_DATE, "statistics": of_statistics})
        skipped: list[int] = []
        assert start_of_statistics(checkpoints, skipped).offsets == {0: 7, 1: -2}
        assert checkpoints.committed["statistics"] == of_statistics
        assert skipped == []


def test_retention_of_messages_already_read_is_not_data_loss() -> None:
    start = StartingOffsets("lol_matches", {0: 0, 1: 0})
    committed = {"matches": {0: 5, 1: 9}, "statistics": {0: 5, 1: 9}}
    assert resolve("latest", FakeCheckpoints(start, committed=committed)) == start


@pytest.mark.parametrize("saved", [None, SAVED])
def test_unwritable_checkpoint_is_reported_before_anything_is_read(saved: StartingOffsets | None) -> None:
    with pytest.raises(JobError, match="not writable"):
        resolve("latest", FakeCheckpoints(saved, writable=False))
