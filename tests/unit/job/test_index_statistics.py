"""Documents of the statistics: fields, mappings, and their counts by alias."""

import time
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pyarrow as pa
import pytest

from infra.names import ROOT
from job.kafka_client import KafkaClientSettings
from job.sinks.elasticsearch import Connection
from job.sinks.sink_wait import Address
from job.tasks.index_matches import SinkConfig
from job.tasks.index_statistics import IndexStatistics, StatisticsCounts, window_action
from tests.support.fakes import fake_elasticsearch

FIGURES = ("kills", "deaths", "assists", "kda", "gpm", "dpm", "cspm")


def row(kind: str, **changes: Any) -> dict[str, Any]:
    figures = {"games_played": 3, "wins": 2, "win_rate": 66.67, **{f"avg_{figure}": 1.25 for figure in FIGURES}}
    start = datetime(2026, 1, 31, 23, 58, tzinfo=UTC)
    return {
        "window_start": start,
        "window_end": start.replace(minute=59),
        "kind": kind,
        "name": "Ahri",
        **figures,
    } | changes


def test_champion_document() -> None:
    action = window_action(row("champion"), "lol_champion_stats")
    head, source = (orjson.loads(line) for line in action.lines.splitlines())
    assert head == {"index": {"_index": "lol_champion_stats-2026.01", "_id": "1769903880000_Ahri"}}
    assert source == {
        "window_start": "2026-01-31T23:58:00.000Z",
        "window_end": "2026-01-31T23:59:00.000Z",
        "champion_name": "Ahri",
        "games_played": 3,
        "wins": 2,
        "win_rate": 66.67,
        **{f"avg_{figure}": 1.25 for figure in FIGURES},
    }


def test_position_document() -> None:
    source = orjson.loads(window_action(row("position", name="TOP"), "n").lines.splitlines()[1])
    assert set(source) == {
        "window_start", "window_end", "position", "games_played",
        "avg_kills", "avg_deaths", "avg_assists", "avg_gpm", "avg_dpm",
    }  # fmt: skip


def test_null_figures_are_omitted() -> None:
    assert "avg_gpm" not in orjson.loads(window_action(row("champion", avg_gpm=None), "n").lines.splitlines()[1])


@pytest.mark.parametrize(("kind", "name"), [("champion", "lol_champion_stats"), ("position", "lol_position_stats")])
def test_mappings_have_exactly_the_documents_fields(kind: str, name: str) -> None:
    template = ROOT / "mappings" / "index_templates" / f"{name}.json"
    mappings = orjson.loads(template.read_bytes())["template"]["mappings"]
    assert set(mappings["properties"]) == set(orjson.loads(window_action(row(kind), "n").lines.splitlines()[1]))
    assert mappings["dynamic"] == "strict"


def test_statistics_are_indexed_and_counted_by_alias_and_rejected_ones_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rejection is the index's fault: somebody has changed its mapping, and repairs it."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    aliases = {"champion": "lol_champion_stats", "position": "lol_position_stats"}
    rows = [row("champion"), row("position", name="TOP"), row("champion", name="Jinx"), row("champion", name="Zed")]
    columns = {name: [each[name] for each in rows] for name in rows[0]}
    added: list[StatisticsCounts] = []
    accumulator: Any = SimpleNamespace(add=added.append)
    with fake_elasticsearch() as server:
        sinks = SinkConfig(
            Connection((server.url,), 5), KafkaClientSettings("kafka:9092"), "dlq", Address("127.0.0.1", 9, b"")
        )
        rejected = {"1769903880000_TOP": 400, "1769903880000_Jinx": 400}
        server.answers = [lambda lines: server.store(lines, rejected), lambda lines: server.store(lines, rejected)]
        index = IndexStatistics(sinks, aliases, accumulator)
        assert list(index(iter([pa.RecordBatch.from_pydict(columns)]))) == []
    (counts,) = added
    counts.merge(StatisticsCounts(Counter(lol_champion_stats=2)))
    assert counts == StatisticsCounts(Counter(lol_champion_stats=5, lol_position_stats=1))
    assert set(server.documents) == {
        *(("lol_champion_stats-2026.01", f"1769903880000_{name}") for name in ("Ahri", "Jinx", "Zed")),
        ("lol_position_stats-2026.01", "1769903880000_TOP"),
    }
