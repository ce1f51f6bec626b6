"""The statistics' way out, on the executors: rows of statistics → documents in Elasticsearch."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, StringType, StructType

from job.documents import Action, Document, action, iso, monthly_index
from job.sinks import elasticsearch
from job.tasks import worker_gc
from job.tasks.index_matches import Sinks

# One row for each partition of a batch and target index. `rejection` is the first one's reason, empty if none.
COUNTS_SCHEMA = (
    StructType()
    .add("name", StringType(), nullable=False)
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

    `names` says the index of each kind (champion, position).
    """

    def __init__(self, sinks: Sinks, names: dict[str, str]) -> None:
        self._sinks = sinks
        self._names = names

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        worker_gc.freeze()
        sink = self._sinks.bulk()
        for batch in batches:
            yield pa.RecordBatch.from_pylist(list(self._deliver(sink, batch.to_pylist())), schema=_ARROW_COUNTS)

    def _deliver(self, sink: elasticsearch.Bulk, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Send the rows, all kinds together; say for each kind's index what became of its rows."""
        actions = [window_action(row, self._names[row["kind"]], number) for number, row in enumerate(rows)]
        rejected: dict[str, list[elasticsearch.Rejection]] = {kind: [] for kind in self._names}
        for chunk in elasticsearch.chunks(actions):
            for rejection in sink.index(chunk):
                rejected[rows[rejection.action.origin]["kind"]].append(rejection)
        sent = Counter(row["kind"] for row in rows)
        for kind, count in sent.items():
            first = next(iter(rejected[kind]), None)
            yield {
                "name": self._names[kind],
                "indexed": count - len(rejected[kind]),
                "rejected": len(rejected[kind]),
                "rejection": f"{first.action.document_id}: {first.status} {first.reason}" if first else "",
            }


def window_action(row: dict[str, Any], name: str, origin: int = 0) -> Action:
    """One row as a document whose id is its window's start and its name, so that later figures replace it."""
    start = _milliseconds(row["window_start"])
    document: Document = {
        "window_start": iso(start),
        "window_end": iso(_milliseconds(row["window_end"])),
        _NAME_FIELD[row["kind"]]: row["name"],
    }
    document.update((figure, row[figure]) for figure in _FIGURES[row["kind"]] if row[figure] is not None)
    return action(monthly_index(name, start), f"{start}_{row['name']}", document, origin)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
