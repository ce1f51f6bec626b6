"""The Elasticsearch query of a Lens layer, and the table that Kibana computes from its response.

Lens turns each bucket column into a bucket aggregation nested in the previous one, and each metric column into a metric
aggregation in the innermost (`to_expression.ts` and each operation's `toEsAggsFn`). Formulas are not part of the query:
Kibana computes them from the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from harness.kibana import kql
from harness.kibana.schema import (
    RECORDS,
    Count,
    DateHistogram,
    FieldMetric,
    Filters,
    Formula,
    Layer,
    Math,
    MathNode,
    NormalizeByUnit,
    Now,
    OrderAlphabetical,
    OrderByColumn,
    OverallSum,
    Ranges,
    StaticValue,
    Terms,
)

AGGREGATIONS = {"unique_count": "cardinality", "average": "avg", "sum": "sum", "max": "max"}
ORDER = "order"
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Row = dict[str, Any]


def needs_search(layer: Layer) -> bool:
    """Whether the layer queries Elasticsearch: a layer of constants does not."""
    return any(isinstance(column, Count | FieldMetric) for column in layer.columns.values())


def search(layer: Layer, query: str, time_field: str, start: datetime, end: datetime) -> dict[str, Any]:
    """The body of the layer's search over the time range, under the panel's KQL `query`.

    The time range is on the data view's `time_field`, or on those of the layer's date histograms if it has any.
    """
    time_fields = [c.source_field for c in layer.columns.values() if isinstance(c, DateHistogram)] or [time_field]
    bounds = {"gte": start.isoformat(), "lte": end.isoformat()}
    body = kql.filter_query(query)
    body["bool"]["filter"] += [{"range": {field: bounds}} for field in time_fields]
    return {"size": 0, "track_total_hits": True, "query": body, **_aggregations(layer, bucket_ids(layer), start, end)}


def bucket_ids(layer: Layer) -> list[str]:
    """The layer's bucket columns, outermost first."""
    return [column_id for column_id in layer.column_order if layer.columns[column_id].is_bucketed]


def rows(layer: Layer, response: Mapping[str, Any], now: datetime) -> list[Row]:
    """Kibana's table: a row for each innermost bucket, with the value of each column by id, formulas included."""
    total = {"doc_count": response["hits"]["total"]["value"], **response.get("aggregations", {})}
    table = list(_rows(layer, bucket_ids(layer), total, {}))
    for column_id in layer.column_order:
        column = layer.columns[column_id]
        match column:
            case Now():
                _fill(table, column_id, [now.timestamp() * 1000 for _ in table])
            case OverallSum():
                overall = sum(row[column.references[0]] or 0 for row in table)
                _fill(table, column_id, [overall for _ in table])
            case NormalizeByUnit():
                units = _interval_seconds(layer) / UNIT_SECONDS[column.params.unit]
                rate = MathNode(type="function", name="divide", args=[column.references[0], units])
                _fill(table, column_id, [_computed(rate, row) for row in table])
            case Math():
                _fill(table, column_id, [_computed(column.params.tinymath_ast, row) for row in table])
            case Formula():
                _fill(table, column_id, [row[column.references[0]] for row in table])
    return table


def _aggregations(layer: Layer, buckets: list[str], start: datetime, end: datetime) -> dict[str, Any]:
    if not buckets:
        aggregations = {
            column_id: aggregation
            for column_id, column in layer.columns.items()
            if isinstance(column, Count | FieldMetric) and (aggregation := _metric(column))
        }
        return {"aggs": aggregations} if aggregations else {}
    bucket_id, *inner = buckets
    column = layer.columns[bucket_id]
    below = _aggregations(layer, inner, start, end)
    match column:
        case Terms():
            by, ordering = _order(layer, column)
            return {"aggs": {bucket_id: _terms(column, by) | _with_aggregations(below, ordering)}}
        case DateHistogram():
            return {"aggs": {bucket_id: _date_histogram(column, start, end) | below}}
        case Ranges():
            ranges = [
                {key: value for key, value in (("from", r.from_), ("to", r.to), ("key", r.label)) if value is not None}
                for r in column.params.ranges
            ]
            return {"aggs": {bucket_id: {"range": {"field": column.source_field, "ranges": ranges}} | below}}
        case Filters():
            named = {each.label: kql.filter_query(each.input.query) for each in column.params.filters}
            return {"aggs": {bucket_id: {"filters": {"filters": named}} | below}}
    raise TypeError(f"{bucket_id} is not a bucket")


def _metric(column: Count | FieldMetric) -> dict[str, Any]:
    """The metric's aggregation; empty for a bucket's document count."""
    counts_documents = column.source_field == RECORDS
    value = {} if counts_documents else {AGGREGATIONS[column.operation_type]: {"field": column.source_field}}
    if column.filter is None:
        return value
    return {"filter": kql.filter_query(column.filter.query), **({"aggs": {"value": value}} if value else {})}


def _order(layer: Layer, column: Terms) -> tuple[str, dict[str, Any]]:
    """The terms' sort order, and the additional aggregation that it needs at this level."""
    match column.params.order_by:
        case OrderAlphabetical():
            return "_key", {}
        case OrderByColumn(column_id=column_id):
            by = layer.columns[column_id]
            assert isinstance(by, Count | FieldMetric)
        case _:
            assert column.params.order_agg is not None
            by = column.params.order_agg
    aggregation = _metric(by)
    return (ORDER, {ORDER: aggregation}) if aggregation else ("_count", {})


def _terms(column: Terms, by: str) -> dict[str, Any]:
    terms: dict[str, Any] = {
        "field": column.source_field,
        "size": column.params.size,
        "order": {by: column.params.order_direction},
    }
    if column.params.accuracy_mode:
        terms["shard_size"] = max(1000, column.params.size * 3 // 2 + 10)
    terms |= {key: value for key in ("include", "exclude") if (value := getattr(column.params, key))}
    return {"terms": terms}


def _date_histogram(column: DateHistogram, start: datetime, end: datetime) -> dict[str, Any]:
    interval = column.params.interval
    kind = "calendar_interval" if re.fullmatch(r"1[mhd]", interval) else "fixed_interval"
    histogram: dict[str, Any] = {"field": column.source_field, kind: interval, "min_doc_count": 1, "time_zone": "UTC"}
    if column.params.include_empty_rows:
        bounds = {"min": round(start.timestamp() * 1000), "max": round(end.timestamp() * 1000)}
        histogram |= {"min_doc_count": 0, "extended_bounds": bounds}
    return {"date_histogram": histogram}


def _interval_seconds(layer: Layer) -> int:
    """The interval of the layer's date histogram. Kibana makes it longer in a long time range."""
    (interval,) = (c.params.interval for c in layer.columns.values() if isinstance(c, DateHistogram))
    return int(interval[:-1]) * UNIT_SECONDS[interval[-1]]


def _with_aggregations(below: dict[str, Any], aggregations: dict[str, Any]) -> dict[str, Any]:
    together = below.get("aggs", {}) | aggregations
    return {"aggs": together} if together else {}


def _rows(layer: Layer, buckets: list[str], bucket: Mapping[str, Any], outer: Row) -> Iterator[Row]:
    if not buckets:
        yield outer | {
            column_id: _value(column, bucket, column_id)
            for column_id, column in layer.columns.items()
            if isinstance(column, Count | FieldMetric | StaticValue)
        }
        return
    bucket_id, *inner = buckets
    found = bucket[bucket_id]["buckets"]
    # A `filters` aggregation returns its buckets by name, all others return a list.
    each = [{"key": key, **value} for key, value in found.items()] if isinstance(found, dict) else found
    for one in each:
        yield from _rows(layer, inner, one, outer | {bucket_id: one["key"]})


def _value(column: Count | FieldMetric | StaticValue, bucket: Mapping[str, Any], column_id: str) -> float | None:
    if isinstance(column, StaticValue):
        return float(column.params.value)
    inside = bucket if column.filter is None else bucket[column_id]
    if column.source_field == RECORDS:
        return float(inside["doc_count"])
    value = inside[column_id if column.filter is None else "value"]["value"]
    return None if value is None else float(value)


def _computed(node: MathNode, row: Row) -> float | None:
    left, right = (
        _computed(arg, row) if isinstance(arg, MathNode) else row[arg] if isinstance(arg, str) else arg
        for arg in node.args
    )
    if left is None or right is None or (node.name == "divide" and right == 0):
        return None
    match node.name:
        case "add":
            return float(left + right)
        case "subtract":
            return float(left - right)
        case "multiply":
            return float(left * right)
        case "divide":
            return float(left / right)


def _fill(table: list[Row], column_id: str, values: list[float | None]) -> None:
    for row, value in zip(table, values, strict=True):
        row[column_id] = value
