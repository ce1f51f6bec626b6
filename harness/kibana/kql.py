"""Parser for the part of KQL that the objects use: comparisons of a field with values, joined by `and`.

A comparison may be negated by `not`. After a colon there is one value or `(one or other)`; a `*` in a value is a
wildcard, and alone means that the field exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_VALUE = r"[\w.*-]+"
_COMPARISON = re.compile(
    rf"(?P<negated>not )?(?P<field>[@\w]+) ?(?P<operator>:|>=|<=|>|<) ?"
    rf"(?P<values>{_VALUE}|\({_VALUE}(?: or {_VALUE})*\))"
)
_RANGES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}


@dataclass(frozen=True)
class Comparison:
    """A field's comparison with a value, or with several of which one suffices."""

    field: str
    operator: str
    values: tuple[str, ...]
    negated: bool

    def query(self) -> dict[str, Any]:
        """The Elasticsearch query that Kibana sends."""
        queries = [self._query(value) for value in self.values]
        one_of = queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": 1}}
        return {"bool": {"must_not": one_of}} if self.negated else one_of

    def _query(self, value: str) -> dict[str, Any]:
        if self.operator != ":":
            return {"range": {self.field: {_RANGES[self.operator]: value}}}
        if value == "*":
            return {"exists": {"field": self.field}}
        return {"wildcard" if "*" in value else "match": {self.field: value}}


def parse_comparisons(text: str) -> list[Comparison]:
    """The comparisons of a KQL query. Raises ValueError for KQL that this parser does not support."""
    found = []
    for part in text.split(" and ") if text else []:
        match = _COMPARISON.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not of the form `field: value`, `field: (one or other)` or `field >= value`")
        values = tuple(match["values"].strip("()").split(" or "))
        found.append(Comparison(match["field"], match["operator"], values, bool(match["negated"])))
    return found


def filter_query(*texts: str) -> dict[str, Any]:
    """The Elasticsearch query for documents that match all of these KQL queries."""
    return {"bool": {"filter": [comparison.query() for text in texts for comparison in parse_comparisons(text)]}}
