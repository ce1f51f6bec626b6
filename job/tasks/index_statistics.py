"""Indexes the window statistics of champions and positions in Spark tasks."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, StringType, StructType

from job.documents import Action, Document, action
from job.ids import monthly_index, statistics_document_id
from job.sinks import elasticsearch
from job.sinks.elasticsearch import BulkSink, Rejection
from job.tasks.index_matches import SinkConfig
from job.tasks.worker_gc import freeze_imported_objects
from job.times import iso, to_ms

# A row for each task and alias. `rejection` is the reason of the first rejection, empty without one.
COUNTS_SCHEMA = (
    StructType()
    .add("alias", StringType(), nullable=False)
    .add("indexed", LongType(), nullable=False)
    .add("rejected", LongType(), nullable=False)
    .add("rejection", StringType(), nullable=False)
)
_ARROW_COUNTS = to_arrow_schema(COUNTS_SCHEMA, timezone="UTC")

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


class IndexStatistics:
    """A function for `mapInArrow`: rows of `statistics.statistics` → rows of COUNTS_SCHEMA.

    `aliases` has the alias of each kind (champion, position). Indexing is a side effect inside the map, as in
    IndexMatches, and idempotent: a window's figures overwrite its earlier figures under the same document id.
    """

    def __init__(self, sinks: SinkConfig, aliases: dict[str, str]) -> None:
        self._sinks = sinks
        self._aliases = aliases

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        freeze_imported_objects()
        sink = self._sinks.bulk_sink()
        for batch in batches:
            yield pa.RecordBatch.from_pylist(list(self._index(sink, batch.to_pylist())), schema=_ARROW_COUNTS)

    def _index(self, sink: BulkSink, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Index the rows of all kinds together; yield the counts of each alias."""
        actions = [window_action(row, self._aliases[row["kind"]], index) for index, row in enumerate(rows)]
        rejected: dict[str, list[Rejection]] = {kind: [] for kind in self._aliases}
        for chunk in elasticsearch.chunks(actions):
            for rejection in sink.index(chunk):
                rejected[rows[rejection.action.source_index]["kind"]].append(rejection)
        sent = Counter(row["kind"] for row in rows)
        for kind, count in sent.items():
            first = next(iter(rejected[kind]), None)
            yield {
                "alias": self._aliases[kind],
                "indexed": count - len(rejected[kind]),
                "rejected": len(rejected[kind]),
                "rejection": f"{first.action.document_id}: {first.status} {first.reason}" if first else "",
            }


def window_action(row: dict[str, Any], alias: str, index: int = 0) -> Action:
    """The bulk action of one row, the `index`-th. Its document id makes later figures of the window replace it."""
    start = to_ms(row["window_start"])
    document: Document = {
        "window_start": iso(start),
        "window_end": iso(to_ms(row["window_end"])),
        _NAME_FIELD[row["kind"]]: row["name"],
    }
    document.update((figure, row[figure]) for figure in _FIGURES[row["kind"]] if row[figure] is not None)
    return action(monthly_index(alias, start), statistics_document_id(start, row["name"]), document, index)
