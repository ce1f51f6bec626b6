"""Validation of Kibana's saved objects: their JSON schema, and rules beyond it, so that each panel displays data.

Each check returns the violations, one line each. The rules come from Kibana's source (see harness/kibana/schema.py);
each rule has negative tests in tests/unit/kibana/test_contract.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError

from harness.kibana import kql
from harness.kibana.objects import data_views
from harness.kibana.queries import needs_search
from harness.kibana.schema import (
    RECORDS,
    Count,
    Dashboard,
    DataView,
    DateHistogram,
    FieldMetric,
    Filters,
    Formula,
    GridData,
    Layer,
    Lens,
    LensMetric,
    LensTable,
    LensXY,
    Math,
    MathNode,
    NormalizeByUnit,
    Now,
    OrderByColumn,
    OverallSum,
    Ranges,
    Reference,
    StaticValue,
    Terms,
    XYDataLayer,
    layer_reference,
    parse,
)
from infra.provisioning.index_template import TEMPLATES

GRID_COLUMNS = 48
FieldTypes = Mapping[str, str]
"""A field's type in Kibana, by name."""

KIBANA_TYPES = {
    **dict.fromkeys(("integer", "long", "float"), "number"),
    **{"keyword": "string", "date": "date", "boolean": "boolean"},
}
"""Kibana's field types by Elasticsearch's."""

ACCEPTED_FIELD_TYPES = {
    "count": {"number", "string", "date", "boolean"},
    "unique_count": {"number", "string", "date", "boolean"},
    "average": {"number"},
    "sum": {"number"},
    "max": {"number", "date"},
    "terms": {"number", "string", "boolean"},
    "date_histogram": {"date"},
    "range": {"number"},
}
"""The field types that an operation accepts."""

LISTED_TYPES = {"string": str, "number": int}
"""Python's types of the values that a terms column includes or excludes, by Kibana's field type."""

TYPE_PRESERVING_OPERATIONS = ("terms", "max")
"""Operations whose column has the data type of its field."""

OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


@dataclass(frozen=True)
class DisplayedColumn:
    """A column that the panel displays, and its role."""

    layer_id: str
    column_id: str
    role: Literal["bucket", "metric", "any"]


@cache
def field_types() -> dict[str, FieldTypes]:
    """The field types of each data view, by the view's id, from the index template."""
    return {view_id: _types(view.attributes.title) for view_id, view in data_views().items()}


def _types(index: str) -> dict[str, str]:
    template = json.loads((TEMPLATES / f"{index}.json").read_text(encoding="utf-8"))
    properties = template["template"]["mappings"]["properties"]
    return {field: KIBANA_TYPES[mapping["type"]] for field, mapping in properties.items()}


def schema_errors(body: dict[str, Any]) -> list[str]:
    """The validation errors of the JSON, with their path."""
    try:
        parse(body)
    except ValidationError as error:
        return [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
    return []


def check_references(body: Lens | Dashboard, known: set[tuple[str, str]]) -> list[str]:
    """Each reference is used once, and its object exists: `known` has type and id of all objects."""
    wanted = layer_references(body) if isinstance(body, Lens) else dashboard_references(body)
    found = [(reference.name, reference.type) for reference in body.references]
    return [
        *(f"{name}: no such reference to a {type_}" for name, type_ in wanted if (name, type_) not in found),
        *(f"{name}: nothing uses this reference to a {type_}" for name, type_ in found if (name, type_) not in wanted),
        *(f"{name}: there are two references of this name" for name in duplicates([name for name, _ in found])),
        *(dangling(reference) for reference in body.references if (reference.type, reference.id) not in known),
    ]


def layer_references(panel: Lens) -> list[tuple[str, str]]:
    return [(layer_reference(layer_id), "index-pattern") for layer_id in panel.layers]


def dashboard_references(dashboard: Dashboard) -> list[tuple[str, str]]:
    attributes = dashboard.attributes
    return [
        *((f"{panel.panel_index}:{panel.panel_ref_name}", panel.type) for panel in attributes.panels_json),
        *(
            (f"controlGroup_{control_id}:optionsListDataView", "index-pattern")
            for control_id in attributes.control_group_input.panels_json
        ),
    ]


def dangling(reference: Reference) -> str:
    return f"{reference.name}: there is no {reference.type}/{reference.id}"


def check_columns(panel: Lens) -> list[str]:
    """Each layer's columns are in Kibana's order, and every mention of a column id fits an existing column."""
    all_columns = [column_id for layer in panel.layers.values() for column_id in layer.columns]
    return [
        f"layer {layer_id}: {violation}"
        for layer_id, layer in panel.layers.items()
        for violation in (
            *column_order_violations(layer),
            *column_id_violations(layer),
            *accuracy_violations(layer),
        )
    ] + [
        *(
            f"two layers have a column {column_id}: column ids are unique in a panel"
            for column_id in duplicates(all_columns)
        ),
        *display_violations(panel),
        *table_order_violations(panel),
    ]


def column_order_violations(layer: Layer) -> Iterator[str]:
    if sorted(layer.column_order) != sorted(layer.columns):
        yield f"columnOrder is {layer.column_order}, the columns are {sorted(layer.columns)}"
        return
    buckets = [layer.columns[column_id].is_bucketed for column_id in layer.column_order]
    if buckets != sorted(buckets, reverse=True):
        yield f"columnOrder has a metric before a bucket: {layer.column_order}"


def column_id_violations(layer: Layer) -> Iterator[str]:
    for column_id, column in layer.columns.items():
        for other in getattr(column, "references", []):
            if other not in layer.columns:
                yield f"{column_id} refers to {other}, which does not exist"
        if isinstance(column, Terms):
            match column.params.order_by:
                case OrderByColumn(column_id=by) if not isinstance(layer.columns.get(by), Count | FieldMetric):
                    yield f"{column_id} is ordered by {by}, which is not a plain metric of the layer"
            if (column.params.order_by.type == "custom") != (column.params.order_agg is not None):
                yield f"{column_id}: orderAgg belongs to the order `custom` only"
        has_interval = any(isinstance(other, DateHistogram) for other in layer.columns.values())
        if isinstance(column, NormalizeByUnit) and not has_interval:
            yield f"{column_id} is per unit of time, but the layer has no date histogram"
        if isinstance(column, Formula):
            # When a user edits a formula, Kibana deletes every column whose id begins with the formula's id.
            others = [other for other in layer.columns if other.startswith(column_id) and other != column_id]
            if unrelated := [other for other in others if other not in formula_columns(layer, column_id)]:
                yield f"{column_id}: an edit of the formula would delete {', '.join(unrelated)}"


def accuracy_violations(layer: Layer) -> Iterator[str]:
    """Terms that are ordered by a count or a sum need the accuracy mode: each shard returns its own first values only,
    and a value that a shard leaves out is counted too low. A maximum is exact without it."""
    for column_id, column in layer.columns.items():
        if not isinstance(column, Terms) or column.params.accuracy_mode:
            continue
        match column.params.order_by:
            case OrderByColumn(column_id=by):
                order: object = layer.columns.get(by)
            case _:
                order = column.params.order_agg
        if isinstance(order, Count | FieldMetric) and order.operation_type != "max":
            yield f"{column_id} is ordered by a {order.operation_type} without accuracyMode, which is inexact"


def display_violations(panel: Lens) -> Iterator[str]:
    displayed = list(displayed_columns(panel))
    for each in displayed:
        layer = panel.layers.get(each.layer_id)
        column = layer.columns.get(each.column_id) if layer else None
        if column is None:
            yield f"displays {each.layer_id}.{each.column_id}, which does not exist"
        elif each.role != "any" and column.is_bucketed != (each.role == "bucket"):
            yield f"displays {each.layer_id}.{each.column_id} as a {each.role}, which it is not"
    visible = {(each.layer_id, each.column_id) for each in displayed}
    for layer_id, layer in panel.layers.items():
        helpers = {helper for column_id in layer.columns for helper in formula_columns(layer, column_id)}
        for column_id in layer.columns:
            if ((layer_id, column_id) in visible) == (column_id in helpers):
                wrong = "part of a formula, and displayed" if column_id in helpers else "not displayed"
                yield f"{layer_id}.{column_id} is {wrong}"


def table_order_violations(panel: Lens) -> Iterator[str]:
    """Kibana shows a table's columns in the layer's order, whatever the table's own."""
    if not isinstance(panel.attributes, LensTable):
        return
    table = panel.attributes.state.visualization
    listed = [column.column_id for column in table.columns]
    layer = panel.layers.get(table.layer_id)
    if layer and listed != (shown := [column_id for column_id in layer.column_order if column_id in listed]):
        yield f"lists the columns {listed}, but shows them as in columnOrder: {shown}"


def displayed_columns(panel: Lens) -> Iterator[DisplayedColumn]:
    match panel.attributes:
        case LensMetric(state=state):
            yield DisplayedColumn(state.visualization.layer_id, state.visualization.metric_accessor, "metric")
        case LensTable(state=state):
            table = state.visualization
            yield from (DisplayedColumn(table.layer_id, column.column_id, "any") for column in table.columns)
            if table.sorting:
                yield DisplayedColumn(table.layer_id, table.sorting.column_id, "any")
        case LensXY(state=state):
            for layer in state.visualization.layers:
                if isinstance(layer, XYDataLayer):
                    yield DisplayedColumn(layer.layer_id, layer.x_accessor, "bucket")
                    if layer.split_accessor:
                        yield DisplayedColumn(layer.layer_id, layer.split_accessor, "bucket")
                yield from (DisplayedColumn(layer.layer_id, accessor, "metric") for accessor in layer.accessors)
                yield from (DisplayedColumn(layer.layer_id, config.for_accessor, "metric") for config in layer.y_config)


def formula_columns(layer: Layer, column_id: str) -> list[str]:
    """The columns that the column is computed from, directly or indirectly."""
    direct = [other for other in getattr(layer.columns[column_id], "references", []) if other in layer.columns]
    return [*direct, *(helper for other in direct for helper in formula_columns(layer, other))]


def check_formulas(panel: Lens) -> list[str]:
    """Each formula's text equals what its columns compute, and these columns have the ids that Kibana assigns."""
    violations = []
    for layer_id, layer in panel.layers.items():
        for column_id, column in layer.columns.items():
            if isinstance(column, Math) and (used := sorted(operand_columns(column))) != sorted(column.references):
                violations.append(f"{layer_id}.{column_id} computes with {used}, refers to {column.references}")
            if not isinstance(column, Formula):
                continue
            computed = formula_text(layer, column.references[0])
            if "".join(computed.split()) != "".join(column.params.formula.split()):
                violations.append(
                    f"{layer_id}.{column_id} is {column.params.formula}, but its columns compute {computed}"
                )
            helpers = set(formula_columns(layer, column_id))
            parts = [f"{column_id}X{n}" for n in range(len(helpers))]
            if helpers != set(parts) or column.references != parts[-1:]:
                violations.append(f"{layer_id}.{column_id}: the formula's parts are {sorted(helpers)}, not {parts}")
    return violations


def formula_text(layer: Layer, column_id: str) -> str:
    """The formula that the column computes, as text."""
    match layer.columns.get(column_id):
        case Count() | FieldMetric() as metric:
            arguments = [] if metric.source_field == RECORDS else [metric.source_field]
            arguments += [f"kql='{metric.filter.query}'"] if metric.filter else []
            return f"{metric.operation_type}({', '.join(arguments)})"
        case Now():
            return "now()"
        case OverallSum(references=[other]):
            return f"overall_sum({formula_text(layer, other)})"
        case NormalizeByUnit(references=[other], params=params):
            return f"normalize_by_unit({formula_text(layer, other)}, unit='{params.unit}')"
        case Math(params=params):
            return math_text(layer, params.tinymath_ast)
        case _:
            return f"<{column_id}>"


def math_text(layer: Layer, node: MathNode) -> str:
    parts = [
        f"({math_text(layer, arg)})"
        if isinstance(arg, MathNode)
        else formula_text(layer, arg)
        if isinstance(arg, str)
        else f"{arg:g}"
        for arg in node.args
    ]
    return f" {OPERATORS[node.name]} ".join(parts)


def operand_columns(column: Math) -> Iterator[str]:
    """The columns that the formula refers to."""
    nodes: list[float | str | MathNode] = [column.params.tinymath_ast]
    while nodes:
        match nodes.pop():
            case MathNode(args=args):
                nodes += args
            case str(column_id):
                yield column_id


def check_fields(panel: Lens, types: Mapping[str, FieldTypes]) -> list[str]:
    """Each field exists in its layer's data view (`types`: by the view's id), with a type the operation accepts."""
    violations = []
    for layer_id, layer in panel.layers.items():
        of_view = types[panel.view_of(layer_id)]
        for column_id, column in layer.columns.items():
            violations += [f"{layer_id}.{column_id}: {violation}" for violation in field_violations(column, of_view)]
            if isinstance(column, Terms) and column.params.order_agg is not None:
                by = column.params.order_agg
                violations += [
                    f"{layer_id}.{column_id}, orderAgg: {violation}" for violation in field_violations(by, of_view)
                ]
        violations += [f"layer {layer_id}, query: {violation}" for violation in query_violations(panel, layer, of_view)]
    return violations


def field_violations(column: object, types: FieldTypes) -> Iterator[str]:
    if not isinstance(column, Count | FieldMetric | Terms | DateHistogram | Ranges):
        return
    operation, field = column.operation_type, column.source_field
    if field == RECORDS:
        if operation != "count":
            yield f"{operation} requires a field, not documents"
    elif field not in types:
        yield f"there is no field {field}"
    elif types[field] not in ACCEPTED_FIELD_TYPES[operation]:
        yield f"{operation} does not accept {field}, which is a {types[field]}"
    elif operation in TYPE_PRESERVING_OPERATIONS and column.data_type != types[field]:
        yield f"dataType is {column.data_type}, {field} is a {types[field]}"
    elif isinstance(column, Terms):
        # Kibana drops an excluded value of another type without a message.
        for listed in (*column.params.include, *column.params.exclude):
            if not isinstance(listed, LISTED_TYPES[types[field]]):
                yield f"{listed!r} is included or excluded, but {field} is a {types[field]}"


def query_violations(panel: Lens, layer: Layer, types: FieldTypes) -> Iterator[str]:
    texts = [panel.attributes.state.query.query]
    for column in layer.columns.values():
        if isinstance(column, Count | FieldMetric) and column.filter is not None:
            texts.append(column.filter.query)
        if isinstance(column, Filters):
            texts += [each.input.query for each in column.params.filters]
    for text in texts:
        try:
            compared = kql.parse_comparisons(text)
        except ValueError as error:
            yield str(error)
            continue
        yield from (f"there is no field {each.field}" for each in compared if each.field not in types)


def check_data_view(view: DataView, types: FieldTypes) -> list[str]:
    """The view's time field is a date, and every formatted field exists."""
    time_field = view.attributes.time_field_name
    formatted = view.attributes.field_format_map
    return [
        *([] if types.get(time_field) == "date" else [f"timeFieldName: {time_field} is not a date"]),
        *(f"fieldFormatMap: there is no field {field}" for field in formatted if field not in types),
    ]


def check_controls(dashboard: Dashboard, types: Mapping[str, FieldTypes]) -> list[str]:
    """Each control is stored under its own id, and offers the values of an existing field."""
    views = {reference.name: reference.id for reference in dashboard.references}
    violations = []
    for control_id, control in dashboard.attributes.control_group_input.panels_json.items():
        chosen = control.explicit_input
        of_view = types.get(views.get(f"controlGroup_{control_id}:optionsListDataView", ""), {})
        if chosen.id != control_id:
            violations.append(f"control {control_id} has the id {chosen.id}")
        if of_view.get(chosen.field_name) not in ACCEPTED_FIELD_TYPES["terms"]:
            violations.append(f"control {control_id}: {chosen.field_name} is not a field with values to choose from")
    return violations


def check_grid(dashboard: Dashboard) -> list[str]:
    """Each panel has its own id, is within the grid, and overlaps no other."""
    panels = dashboard.attributes.panels_json
    areas = [panel.grid_data for panel in panels]
    return [
        *(f"there are two panels {index}" for index in duplicates([panel.panel_index for panel in panels])),
        *(f"{p.panel_index}: gridData.i is {p.grid_data.i}" for p in panels if p.grid_data.i != p.panel_index),
        *(f"{area.i} ends right of column {GRID_COLUMNS}" for area in areas if area.x + area.w > GRID_COLUMNS),
        *(
            f"{one.i} and {other.i} overlap"
            for n, one in enumerate(areas)
            for other in areas[n + 1 :]
            if overlap(one, other)
        ),
    ]


def overlap(one: GridData, other: GridData) -> bool:
    return (
        one.x < other.x + other.w and other.x < one.x + one.w and one.y < other.y + other.h and other.y < one.y + one.h
    )


def check_constant_layers(panel: Lens) -> list[str]:
    """Each layer with buckets also has a metric of Elasticsearch: Kibana rejects one with constants only."""
    return [
        f"layer {layer_id} has buckets, but only constant metrics"
        for layer_id, layer in panel.layers.items()
        if any(column.is_bucketed for column in layer.columns.values()) and not needs_search(layer)
    ]


def check_reference_lines(panel: Lens) -> Iterator[str]:
    """Layers of reference lines have constant values, and other layers have none."""
    if not isinstance(panel.attributes, LensXY):
        return
    for shown in panel.attributes.state.visualization.layers:
        layer_columns = panel.layers[shown.layer_id].columns if shown.layer_id in panel.layers else {}
        for accessor in set(shown.accessors) & set(layer_columns):
            constant = isinstance(layer_columns[accessor], StaticValue)
            if constant != (shown.layer_type == "referenceLine"):
                yield f"layer {shown.layer_id}: {accessor} {'is' if constant else 'is not'} a constant"


def duplicates(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
