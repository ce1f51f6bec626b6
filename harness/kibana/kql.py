"""Parser for the part of KQL that the objects use: comparisons of a field with a value (or `*`), joined by `and`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_COMPARISON = re.compile(r"(?P<field>[@\w]+) ?(?P<operator>:|>=|<=|>|<) ?(?P<value>[\w.-]+|\*)")
_RANGES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}


@dataclass(frozen=True)
class Comparison:
    field: str
    operator: str
    value: str

    def query(self) -> dict[str, Any]:
        """The Elasticsearch query that Kibana sends."""
        if (self.operator, self.value) == (":", "*"):
            return {"exists": {"field": self.field}}
        if self.operator == ":":
            return {"match": {self.field: self.value}}
        return {"range": {self.field: {_RANGES[self.operator]: self.value}}}


def parse_comparisons(text: str) -> list[Comparison]:
    """The comparisons of a KQL query. Raises ValueError for KQL that this parser does not support."""
    found = []
    for part in text.split(" and ") if text else []:
        match = _COMPARISON.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not of the form `field: value` or `field >= value`")
        found.append(Comparison(**match.groupdict()))
    return found


def filter_query(*texts: str) -> dict[str, Any]:
    """The Elasticsearch query for documents that match all of these KQL queries."""
    return {"bool": {"filter": [comparison.query() for text in texts for comparison in parse_comparisons(text)]}}
