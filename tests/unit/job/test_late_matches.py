"""Late matches: their event times, and how many the driver remembers. With Spark: tests/integration/spark."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from job.driver.late_matches import LateMatches
from job.settings import with_overrides
from job.tasks.match_rows import DecodeMatches, EventTimes
from tests.support.sample_matches import ARRIVED_AT, PLAUSIBLE_TIMES, START, match, participant, value

QUEUE_IDS = with_overrides({}).statistics.counted_queue_ids


def test_event_times_are_those_of_the_matches_in_the_statistics() -> None:
    """No other match can come too late for the windows. The event time of an end in the future is the arrival time."""
    future = match(match_id="EUW1_future", gameStartTimestamp=ARRIVED_AT)
    remake = match(participant(1, gameEndedInEarlySurrender=True), match_id="EUW1_remake")
    no_winner = match(participant(1, win=False), participant(6, win=False), match_id="EUW1_no_winner")
    values = [*(value(each) for each in (match(match_id="EUW1_8"), remake, no_winner, future)), b"{", None]
    columns = [("value", pa.binary()), ("timestamp", pa.timestamp("us", "UTC"))]
    arrived = [(ARRIVED_AT + n) * 1000 for n in range(len(values))]
    batch = pa.record_batch({"value": values, "timestamp": arrived}, pa.schema(columns))
    added: list[EventTimes] = []
    accumulator: Any = SimpleNamespace(add=added.append)
    (decoded,) = DecodeMatches(PLAUSIBLE_TIMES, QUEUE_IDS, accumulator)(iter([batch]))
    assert added == [EventTimes({"EUW1_8": START + 1_845_000, "EUW1_future": ARRIVED_AT + 3})]
    assert decoded.column("match_id").to_pylist() == list(added[0].by_match)


def test_match_is_forgotten_after_many_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory for late matches is bounded: it keeps the latest."""
    monkeypatch.setattr("job.driver.late_matches.REMEMBERED_MATCHES", 2)
    checkpoints: Any = SimpleNamespace(watermark=lambda _query, _batch: 100)
    late_matches = LateMatches(checkpoints, "statistics")
    batches = [{"EUW1_1": 100, "EUW1_2": 100}, {"EUW1_1": 100, "EUW1_3": 101}, {"EUW1_1": 1, "EUW1_2": 1}]
    assert [late_matches.count(number, each) for number, each in enumerate(batches)] == [2, 0, 1]
