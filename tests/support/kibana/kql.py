"""As much of Kibana's query language as the objects use: comparisons of a field with a value, joined by `and`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_COMPARISON = re.compile(r"(?P<field>[@\w]+) ?(?P<operator>:|>=|<=|>|<) ?(?P<value>[\w.-]+)")
_RANGES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}


@dataclass(frozen=True)
class Comparison:
    field: str
    operator: str
    value: str

    def query(self) -> dict[str, Any]:
        """As Kibana sends it to Elasticsearch."""
        if self.operator == ":":
            return {"match": {self.field: self.value}}
        return {"range": {self.field: {_RANGES[self.operator]: self.value}}}


def comparisons(text: str) -> list[Comparison]:
    """What the query compares; nothing where it is empty. Raises ValueError for what is not in this part of KQL."""
    found = []
    for part in text.split(" and ") if text else []:
        match = _COMPARISON.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not of the form `field: value` or `field >= value`")
        found.append(Comparison(**match.groupdict()))
    return found


def filters(*texts: str) -> dict[str, Any]:
    """Elasticsearch's query for documents that all of these KQL queries match."""
    return {"bool": {"filter": [comparison.query() for text in texts for comparison in comparisons(text)]}}
