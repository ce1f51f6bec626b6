"""Indexes the window statistics of champions and positions in Spark tasks."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from msgspec import Struct, field

from job.documents import Action, Document, action
from job.ids import monthly_index, statistics_document_id
from job.sinks import elasticsearch
from job.sinks.elasticsearch import BulkSink
from job.tasks.index_matches import SinkConfig
from job.tasks.outcomes import CountsAccumulator
from job.tasks.worker_gc import freeze_imported_objects
from job.times import iso, to_ms

_FIGURES = {
    "champion": (
        "games_played",
        "wins",
        "win_rate",
        "avg_kills",
        "avg_deaths",
        "avg_assists",
        "avg_kda",
        "avg_gpm",
        "avg_dpm",
        "avg_cspm",
    ),
    "position": ("games_played", "avg_kills", "avg_deaths", "avg_assists", "avg_gpm", "avg_dpm"),
}
_NAME_FIELD = {"champion": "champion_name", "position": "position"}


class StatisticsCounts(Struct):
    """The indexed statistics documents of a task or a micro-batch, by alias."""

    indexed: Counter[str] = field(default_factory=Counter)

    def merge(self, other: "StatisticsCounts") -> None:
        """Add the counts of another task."""
        self.indexed += other.indexed


class IndexStatistics:
    """A function for `mapInArrow`: indexes rows of `statistics.statistics`, and returns no rows.

    `aliases` has the alias of each kind (champion, position). Indexing is a side effect, as in IndexMatches, and
    idempotent: a window's figures overwrite its earlier figures under the same document id. All content of a document
    is the job's own, so a rejected one waits for the repair of its index: a window that is over never comes again.
    """

    def __init__(
        self, sinks: SinkConfig, aliases: dict[str, str], accumulator: CountsAccumulator[StatisticsCounts]
    ) -> None:
        self._sinks = sinks
        self._aliases = aliases
        self._accumulator = accumulator

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        freeze_imported_objects()
        sink = self._sinks.bulk_sink()
        counts = StatisticsCounts()
        for batch in batches:
            self._index(sink, batch.to_pylist(), counts)
        self._accumulator.add(counts)
        return iter(())

    def _index(self, sink: BulkSink, rows: list[dict[str, Any]], counts: StatisticsCounts) -> None:
        """Index the rows of all kinds together and count them."""
        for chunk in elasticsearch.chunks(window_action(row, self._aliases[row["kind"]]) for row in rows):
            sink.index_all(chunk)
        counts.indexed.update(self._aliases[row["kind"]] for row in rows)


def window_action(row: dict[str, Any], alias: str) -> Action:
    """The bulk action of one row. Its document id makes later figures of the window replace it."""
    start = to_ms(row["window_start"])
    document: Document = {
        "window_start": iso(start),
        "window_end": iso(to_ms(row["window_end"])),
        _NAME_FIELD[row["kind"]]: row["name"],
    }
    document.update((figure, row[figure]) for figure in _FIGURES[row["kind"]] if row[figure] is not None)
    return action(monthly_index(alias, start), statistics_document_id(start, row["name"]), document)
