"""Searches of the documents, for complete figures only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elasticsearch import Elasticsearch

from infra.names import MATCHES_ALIAS


def search(client: Elasticsearch, index: str = MATCHES_ALIAS, **request: Any) -> Any:
    """Search an alias's open indices. Raises the client's errors, also if one of the shards does not answer: its part
    of the documents would be missing in every figure."""
    return client.search(index=index, ignore_unavailable=True, allow_partial_search_results=False, **request)


def search_matches(client: Elasticsearch, **request: Any) -> Any:
    """The same for the participants' documents; an error if no index is open, whose response has no aggregations."""
    return search(client, allow_no_indices=False, **request)


def count(client: Elasticsearch, index: str = MATCHES_ALIAS, query: Mapping[str, Any] | None = None) -> int:
    """The number of documents in an alias's open indices, of those that match the query if there is one.

    By a search: Elasticsearch's count API leaves out shards that do not answer, and cannot be told not to.
    """
    return int(search(client, index, size=0, track_total_hits=True, query=query)["hits"]["total"]["value"])


def search_nothing(client: Elasticsearch, timeout_seconds: float) -> None:
    """A search without work. Its timeout means that Elasticsearch hangs, and that of another one that it takes long."""
    search_matches(client.options(request_timeout=timeout_seconds), size=0, query={"match_none": {}})
