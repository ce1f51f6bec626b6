"""The dashboard's panel queries against a running Elasticsearch: each layer's search over the last hour, uncached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from analytics.search import count, search
from harness.kibana import kql, queries
from harness.kibana.objects import data_views, panels
from harness.kibana.schema import RECORDS, Count, DateHistogram, FieldMetric, Layer, Ranges, Terms

TIME_RANGE = timedelta(hours=1)
"""The dashboard's default time range; a unit test compares them."""


@dataclass(frozen=True)
class PanelResponse:
    """`rows`: the layer's table. `hits`: documents that matched. `took_ms`: the duration that Elasticsearch reports."""

    rows: list[queries.Row]
    hits: int
    took_ms: int


@dataclass(frozen=True)
class PanelQuery:
    """The Elasticsearch query of one layer of a panel."""

    panel_id: str
    layer_id: str

    @property
    def title(self) -> str:
        """The panel's title, with the layer's id if several layers of the panel query Elasticsearch."""
        panel = panels()[self.panel_id]
        searches = [layer for layer in panel.layers.values() if queries.needs_search(layer)]
        return panel.attributes.title if len(searches) == 1 else f"{panel.attributes.title}: {self.layer_id}"

    def run(self, client: Elasticsearch) -> PanelResponse:
        """Run the query over the last hour, without closed indices and without Elasticsearch's request cache.

        Kibana ignores closed indices too, and its queries do not hit that cache: each has another time range.
        """
        now = datetime.now(UTC)
        index, body = self._search(now)
        response = search(client, index, request_cache=False, **body)
        return PanelResponse(
            queries.rows(self._layer, response.body, now), response["hits"]["total"]["value"], response["took"]
        )

    def has_documents(self, client: Elasticsearch) -> bool:
        """Whether the query selects documents that have each of the layer's fields, also with each column's filter."""
        index, body = self._search(datetime.now(UTC))
        columns = list(self._layer.columns.values())
        metrics = [column for column in columns if isinstance(column, Count | FieldMetric)]
        buckets = [column for column in columns if isinstance(column, DateHistogram | Ranges | Terms)]
        fields = {column.source_field for column in (*metrics, *buckets)} - {RECORDS}
        body["query"]["bool"]["filter"] += [{"exists": {"field": field}} for field in sorted(fields)]
        filters = {metric.filter.query for metric in metrics if metric.filter} or {""}
        return all(
            count(client, index, {"bool": {"filter": [body["query"], kql.filter_query(each)]}}) for each in filters
        )

    @property
    def _layer(self) -> Layer:
        return panels()[self.panel_id].layers[self.layer_id]

    def _search(self, now: datetime) -> tuple[str, dict[str, Any]]:
        """The index and the body of the search over the last hour."""
        panel = panels()[self.panel_id]
        view = data_views()[panel.view_of(self.layer_id)].attributes
        kql_query, time_field = panel.attributes.state.query.query, view.time_field_name
        return view.title, queries.search(self._layer, kql_query, time_field, now - TIME_RANGE, now)


def panel_queries() -> list[PanelQuery]:
    """One for each layer of the dashboard's panels that queries Elasticsearch."""
    return [
        PanelQuery(panel_id, layer_id)
        for panel_id, panel in panels().items()
        for layer_id, layer in panel.layers.items()
        if queries.needs_search(layer)
    ]
