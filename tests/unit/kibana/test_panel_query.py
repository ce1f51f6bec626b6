"""Whether a panel has documents, for stacks that no generator sends matches to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.kibana.panel_query import PanelQuery, panel_queries


class FakeElasticsearch:
    """Counts no document for a query with `missing` in it, and one for any other."""

    def __init__(self, missing: str = "of no query") -> None:
        self.missing = missing
        self.queries: list[str] = []

    def search(self, index: str, query: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert index.startswith("lol_")
        self.queries.append(json.dumps(query))
        return {"hits": {"total": {"value": int(self.missing not in self.queries[-1])}}}


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: f"{query.panel_id}-{query.layer_id}")
def test_panel_has_documents_if_each_count_finds_some(query: PanelQuery) -> None:
    client: Any = FakeElasticsearch()
    assert query.has_documents(client)
    assert client.queries


@pytest.mark.parametrize(
    ("panel_id", "missing"),
    [
        ("lol-items", '{"exists": {"field": "items"}}'),
        ("lol-keystones", '{"exists": {"field": "keystone"}}'),
        ("lol-objectives", '"map_id"'),
        ("lol-documents-per-minute", "now-5m"),
        ("lol-kill-participation", '{"win": "false"}'),
        ("lol-champion-trend", '{"exists": {"field": "wins"}}'),
        ("lol-gold-by-position", '{"exists": {"field": "avg_gpm"}}'),
    ],
)
def test_panel_without_one_of_its_fields_or_filters_has_no_documents(panel_id: str, missing: str) -> None:
    client: Any = FakeElasticsearch(missing)
    assert not PanelQuery(panel_id, "data").has_documents(client)
