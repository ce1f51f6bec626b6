"""The dashboard's panel queries against a running Elasticsearch: each layer's search over the last hour, uncached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from elasticsearch import Elasticsearch

from harness.kibana import queries
from harness.kibana.objects import data_views, panels

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
        panel = panels()[self.panel_id]
        layer = panel.layers[self.layer_id]
        view = data_views()[panel.view_of(self.layer_id)].attributes
        now = datetime.now(UTC)
        body = queries.search(layer, panel.attributes.state.query.query, view.time_field_name, now - TIME_RANGE, now)
        response = client.search(index=view.title, ignore_unavailable=True, request_cache=False, **body)
        return PanelResponse(
            queries.rows(layer, response.body, now), response["hits"]["total"]["value"], response["took"]
        )


def panel_queries() -> list[PanelQuery]:
    """One for each layer of the dashboard's panels that queries Elasticsearch."""
    return [
        PanelQuery(panel_id, layer_id)
        for panel_id, panel in panels().items()
        for layer_id, layer in panel.layers.items()
        if queries.needs_search(layer)
    ]
