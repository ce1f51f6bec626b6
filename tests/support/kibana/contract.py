"""What must be true of the saved objects beyond their shape, so that each panel shows something in a Kibana.

Every check returns its complaints, a line each; none where all is well. What they stand on was read in Kibana's source
(shapes.py says where); each has negative fixtures in test_contract.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.kibana import kql
from tests.support.kibana.queries import asks
from tests.support.kibana.shapes import (
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
    Now,
    OrderByColumn,
    OverallSum,
    Ranges,
    Reference,
    StaticValue,
    Terms,
    XYDataLayer,
    layer_reference,
)

GRID_COLUMNS = 48
FieldTypes = Mapping[str, str]
"""A field's type in Kibana, by name."""

KIBANA_TYPES = {
    **dict.fromkeys(("integer", "long", "float"), "number"),
    **{"keyword": "string", "date": "date", "boolean": "boolean"},
}
"""What Kibana makes of Elasticsearch's field types."""

TAKES = {
    "count": {"number", "string", "date", "boolean"},
    "unique_count": {"number", "string", "date", "boolean"},
    "average": {"number"},
    "sum": {"number"},
    "max": {"number", "date"},
    "terms": {"number", "string", "boolean"},
    "date_histogram": {"date"},
    "range": {"number"},
}
"""The types of field that an operation takes."""

FIELDS_TYPE = ("terms", "max")
"""The operations whose column has the type of its field."""

OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


@dataclass(frozen=True)
class Shown:
    """A column that the panel shows, and as what."""

    layer_id: str
    column_id: str
    as_: Literal["bucket", "metric", "any"]


def references(body: Lens | Dashboard, known: set[tuple[str, str]]) -> list[str]:
    """Whether each reference leads to an object that is `known`, by type and id, and each has exactly its user."""
    wanted = layer_references(body) if isinstance(body, Lens) else dashboard_references(body)
    found = [(reference.name, reference.type) for reference in body.references]
    return [
        *(f"{name}: no such reference to a {type_}" for name, type_ in wanted if (name, type_) not in found),
        *(f"{name}: nothing uses this reference to a {type_}" for name, type_ in found if (name, type_) not in wanted),
        *(f"{name}: there are two references of this name" for name in doubles([name for name, _ in found])),
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


def columns(panel: Lens) -> list[str]:
    """Whether each layer's columns are in Kibana's order, and all that names a column names one that fits."""
    all_columns = [column_id for layer in panel.layers.values() for column_id in layer.columns]
    return [
        f"layer {layer_id}: {complaint}"
        for layer_id, layer in panel.layers.items()
        for complaint in (*order_of(layer), *named_in(layer))
    ] + [
        *(f"two layers have a column {column_id}: each has an id of its own" for column_id in doubles(all_columns)),
        *shown_in(panel),
    ]


def order_of(layer: Layer) -> Iterator[str]:
    if sorted(layer.column_order) != sorted(layer.columns):
        yield f"columnOrder is {layer.column_order}, the columns are {sorted(layer.columns)}"
        return
    buckets = [layer.columns[column_id].is_bucketed for column_id in layer.column_order]
    if buckets != sorted(buckets, reverse=True):
        yield f"columnOrder has a metric before a bucket: {layer.column_order}"


def named_in(layer: Layer) -> Iterator[str]:
    for column_id, column in layer.columns.items():
        for other in getattr(column, "references", []):
            if other not in layer.columns:
                yield f"{column_id} refers to {other}, which is not there"
        if isinstance(column, Terms):
            match column.params.order_by:
                case OrderByColumn(column_id=by) if not isinstance(layer.columns.get(by), Count | FieldMetric):
                    yield f"{column_id} is ordered by {by}, which is no plain metric of the layer"
            if (column.params.order_by.type == "custom") != (column.params.order_agg is not None):
                yield f"{column_id}: orderAgg belongs to the order `custom`, and to no other"
        if isinstance(column, Formula):
            # When somebody edits it, Kibana throws away every column whose id begins with the formula's.
            others = [other for other in layer.columns if other.startswith(column_id) and other != column_id]
            if strangers := [other for other in others if other not in helpers_of(layer, column_id)]:
                yield f"{column_id}: an edit of the formula would delete {', '.join(strangers)}"


def shown_in(panel: Lens) -> Iterator[str]:
    shown = list(shown_columns(panel))
    for each in shown:
        layer = panel.layers.get(each.layer_id)
        column = layer.columns.get(each.column_id) if layer else None
        if column is None:
            yield f"shows {each.layer_id}.{each.column_id}, which is not there"
        elif each.as_ != "any" and column.is_bucketed != (each.as_ == "bucket"):
            yield f"shows {each.layer_id}.{each.column_id} as a {each.as_}, which it is not"
    visible = {(each.layer_id, each.column_id) for each in shown}
    for layer_id, layer in panel.layers.items():
        helpers = {helper for column_id in layer.columns for helper in helpers_of(layer, column_id)}
        for column_id in layer.columns:
            if ((layer_id, column_id) in visible) == (column_id in helpers):
                wrong = "a part of a formula, and shown" if column_id in helpers else "not shown"
                yield f"{layer_id}.{column_id} is {wrong}"


def shown_columns(panel: Lens) -> Iterator[Shown]:
    match panel.attributes:
        case LensMetric(state=state):
            yield Shown(state.visualization.layer_id, state.visualization.metric_accessor, "metric")
        case LensTable(state=state):
            table = state.visualization
            yield from (Shown(table.layer_id, column.column_id, "any") for column in table.columns)
            if table.sorting:
                yield Shown(table.layer_id, table.sorting.column_id, "any")
        case LensXY(state=state):
            for layer in state.visualization.layers:
                if isinstance(layer, XYDataLayer):
                    yield Shown(layer.layer_id, layer.x_accessor, "bucket")
                    if layer.split_accessor:
                        yield Shown(layer.layer_id, layer.split_accessor, "bucket")
                yield from (Shown(layer.layer_id, accessor, "metric") for accessor in layer.accessors)
                yield from (Shown(layer.layer_id, config.for_accessor, "metric") for config in layer.y_config)


def helpers_of(layer: Layer, column_id: str) -> list[str]:
    """The columns that the column is computed from, theirs included."""
    direct = [other for other in getattr(layer.columns[column_id], "references", []) if other in layer.columns]
    return [*direct, *(helper for other in direct for helper in helpers_of(layer, other))]


def formulas(panel: Lens) -> list[str]:
    """Whether each formula's text says what the columns beside it compute, and these have the ids Kibana gives them."""
    complaints = []
    for layer_id, layer in panel.layers.items():
        for column_id, column in layer.columns.items():
            if isinstance(column, Math) and (used := sorted(leaves(column))) != sorted(column.references):
                complaints.append(f"{layer_id}.{column_id} computes with {used}, refers to {column.references}")
            if not isinstance(column, Formula):
                continue
            spelt = spell(layer, column.references[0])
            if "".join(spelt.split()) != "".join(column.params.formula.split()):
                complaints.append(f"{layer_id}.{column_id} says {column.params.formula}, its columns compute {spelt}")
            helpers = set(helpers_of(layer, column_id))
            parts = [f"{column_id}X{n}" for n in range(len(helpers))]
            if helpers != set(parts) or column.references != parts[-1:]:
                complaints.append(f"{layer_id}.{column_id}: the formula's parts are {sorted(helpers)}, not {parts}")
    return complaints


def spell(layer: Layer, column_id: str) -> str:
    """The formula that the column computes."""
    match layer.columns.get(column_id):
        case Count() | FieldMetric() as metric:
            arguments = [] if metric.source_field == RECORDS else [metric.source_field]
            arguments += [f"kql='{metric.filter.query}'"] if metric.filter else []
            return f"{metric.operation_type}({', '.join(arguments)})"
        case Now():
            return "now()"
        case OverallSum(references=[other]):
            return f"overall_sum({spell(layer, other)})"
        case Math(params=params):
            return spell_node(layer, params.tinymath_ast)
        case _:
            return f"<{column_id}>"


def spell_node(layer: Layer, node: MathNode) -> str:
    parts = [
        f"({spell_node(layer, arg)})"
        if isinstance(arg, MathNode)
        else spell(layer, arg)
        if isinstance(arg, str)
        else f"{arg:g}"
        for arg in node.args
    ]
    return f" {OPERATORS[node.name]} ".join(parts)


def leaves(column: Math) -> Iterator[str]:
    """The columns that it computes with."""
    nodes: list[float | str | MathNode] = [column.params.tinymath_ast]
    while nodes:
        match nodes.pop():
            case MathNode(args=args):
                nodes += args
            case str(column_id):
                yield column_id


def fields(panel: Lens, types: Mapping[str, FieldTypes]) -> list[str]:
    """Whether each field is in its layer's data view (`types`: by the view's id), of a type the operation takes."""
    complaints = []
    for layer_id, layer in panel.layers.items():
        of_view = types[panel.view_of(layer_id)]
        for column_id, column in layer.columns.items():
            complaints += [f"{layer_id}.{column_id}: {complaint}" for complaint in field_of(column, of_view)]
            if isinstance(column, Terms) and column.params.order_agg is not None:
                by = column.params.order_agg
                complaints += [f"{layer_id}.{column_id}, orderAgg: {complaint}" for complaint in field_of(by, of_view)]
        complaints += [f"layer {layer_id}, query: {complaint}" for complaint in fields_of_query(panel, layer, of_view)]
    return complaints


def field_of(column: object, types: FieldTypes) -> Iterator[str]:
    if not isinstance(column, Count | FieldMetric | Terms | DateHistogram | Ranges):
        return
    operation, field = column.operation_type, column.source_field
    if field == RECORDS:
        if operation != "count":
            yield f"{operation} takes a field, not the documents"
    elif field not in types:
        yield f"there is no field {field}"
    elif types[field] not in TAKES[operation]:
        yield f"{operation} does not take {field}, which is a {types[field]}"
    elif operation in FIELDS_TYPE and column.data_type != types[field]:
        yield f"dataType is {column.data_type}, {field} is a {types[field]}"


def fields_of_query(panel: Lens, layer: Layer, types: FieldTypes) -> Iterator[str]:
    texts = [panel.attributes.state.query.query]
    for column in layer.columns.values():
        if isinstance(column, Count | FieldMetric) and column.filter is not None:
            texts.append(column.filter.query)
        if isinstance(column, Filters):
            texts += [each.input.query for each in column.params.filters]
    for text in texts:
        try:
            compared = kql.comparisons(text)
        except ValueError as error:
            yield str(error)
            continue
        yield from (f"there is no field {each.field}" for each in compared if each.field not in types)


def data_view(view: DataView, types: FieldTypes) -> list[str]:
    """Whether the view's time field is a date, and it formats only fields that are there."""
    time_field = view.attributes.time_field_name
    formatted = view.attributes.field_format_map
    return [
        *([] if types.get(time_field) == "date" else [f"timeFieldName: {time_field} is no date"]),
        *(f"fieldFormatMap: there is no field {field}" for field in formatted if field not in types),
    ]


def controls(dashboard: Dashboard, types: Mapping[str, FieldTypes]) -> list[str]:
    """Whether each control is under its own id and offers the values of a field that is there."""
    views = {reference.name: reference.id for reference in dashboard.references}
    complaints = []
    for control_id, control in dashboard.attributes.control_group_input.panels_json.items():
        chosen = control.explicit_input
        of_view = types.get(views.get(f"controlGroup_{control_id}:optionsListDataView", ""), {})
        if chosen.id != control_id:
            complaints.append(f"control {control_id} has the id {chosen.id}")
        if of_view.get(chosen.field_name) not in TAKES["terms"]:
            complaints.append(f"control {control_id}: {chosen.field_name} is no field with values to choose from")
    return complaints


def grid(dashboard: Dashboard) -> list[str]:
    """Whether each panel is under its own id, within the grid, and on top of no other."""
    panels = dashboard.attributes.panels_json
    places = [panel.grid_data for panel in panels]
    return [
        *(f"there are two panels {index}" for index in doubles([panel.panel_index for panel in panels])),
        *(f"{p.panel_index}: gridData.i is {p.grid_data.i}" for p in panels if p.grid_data.i != p.panel_index),
        *(f"{place.i} ends right of column {GRID_COLUMNS}" for place in places if place.x + place.w > GRID_COLUMNS),
        *(
            f"{one.i} and {other.i} overlap"
            for n, one in enumerate(places)
            for other in places[n + 1 :]
            if overlap(one, other)
        ),
    ]


def overlap(one: GridData, other: GridData) -> bool:
    return (
        one.x < other.x + other.w and other.x < one.x + one.w and one.y < other.y + other.h and other.y < one.y + one.h
    )


def constant(panel: Lens) -> list[str]:
    """Whether each layer that has buckets also asks Elasticsearch for something: Kibana refuses one that does not."""
    return [
        f"layer {layer_id} has buckets and only constants"
        for layer_id, layer in panel.layers.items()
        if any(column.is_bucketed for column in layer.columns.values()) and not asks(layer)
    ]


def reference_lines(panel: Lens) -> Iterator[str]:
    """Whether the layers of reference lines, and no others, have fixed values."""
    if not isinstance(panel.attributes, LensXY):
        return
    for shown in panel.attributes.state.visualization.layers:
        layer_columns = panel.layers[shown.layer_id].columns if shown.layer_id in panel.layers else {}
        for accessor in set(shown.accessors) & set(layer_columns):
            fixed = isinstance(layer_columns[accessor], StaticValue)
            if fixed != (shown.layer_type == "referenceLine"):
                yield f"layer {shown.layer_id}: {accessor} {'is a' if fixed else 'is no'} fixed value"


def doubles(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
