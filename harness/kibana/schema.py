"""The JSON schema of the saved objects in mappings/kibana/, as Pydantic models of Kibana's own types in version 8.19.

Kibana's import validates almost nothing of this: a wrong panel is imported, and stays empty on the dashboard. The
models have only what the objects use and forbid other keys, so that a misspelt key fails. The types, in elastic/kibana:

- x-pack/platform/plugins/shared/lens/public: datasources/form_based/operations/definitions (a layer's columns),
  visualizations (how a panel displays its layers)
- src/platform/plugins/shared/dashboard/server/dashboard_saved_object/schema
- src/platform/plugins/shared/data_views/common/types.ts
- src/platform/plugins/shared/controls/common
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

T = TypeVar("T")

RECORDS = "___records___"
"""The field of metrics that count documents."""

Color = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of the ids that Kibana gives to new objects, panels and columns."""

ColumnId = Annotated[str, Field(pattern=rf"^([A-Za-z][A-Za-z0-9]*|{UUID}(X\d+)?)$")]
"""Kibana puts column ids into expressions: of ids of our own, only letters and digits are safe. It adds an X and a
number for the parts of a formula."""


class StrictModel(BaseModel):
    """Requires exactly these keys, of exactly these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class Query(StrictModel):
    query: str
    language: Literal["kuery"]


class Reference(StrictModel):
    type: Literal["index-pattern", "lens"]
    id: str
    name: str


class SavedObject(StrictModel):
    id: str = Field(pattern=rf"^(lol-[a-z-]+|{UUID})$")
    references: list[Reference]
    core_migration_version: Literal["8.8.0"]
    managed: bool


# Data views


class FieldFormat(StrictModel):
    id: Literal["number", "percent", "duration", "static_lookup"]
    params: dict[str, Any]


class DataViewAttributes(StrictModel):
    title: str
    name: str
    time_field_name: str
    field_format_map: dict[str, FieldFormat]
    field_attrs: dict[str, Any] = Field(max_length=0)
    runtime_field_map: dict[str, Any] = Field(max_length=0)  # needs scripts, which not every image has
    source_filters: list[Any] = Field(max_length=0)
    fields: list[Any] = Field(max_length=0)  # Kibana reads them from Elasticsearch
    type_meta: dict[str, Any] = Field(max_length=0)


class DataView(SavedObject):
    type: Literal["index-pattern"]
    type_migration_version: Literal["8.0.0"]
    attributes: DataViewAttributes


# A Lens layer's columns


class ValueFormatParams(StrictModel):
    decimals: int = Field(ge=0)
    compact: bool = False
    suffix: str | None = None
    from_unit: Literal["milliseconds", "seconds"] | None = None
    to_unit: Literal["asSeconds", "humanizePrecise"] | None = None


class ValueFormat(StrictModel):
    id: Literal["number", "percent", "duration"]
    params: ValueFormatParams


class Column(StrictModel):
    label: str = Field(min_length=1)
    custom_label: Literal[True]


class Metric(Column):
    is_bucketed: Literal[False]
    scale: Literal["ratio"]


class CountParams(StrictModel):
    empty_as_null: bool
    format: ValueFormat | None = None


class Count(Metric):
    """Counts documents, or the distinct values of a field."""

    operation_type: Literal["count", "unique_count"]
    data_type: Literal["number"]
    source_field: str
    params: CountParams
    filter: Query | None = None


class FieldMetricParams(StrictModel):
    format: ValueFormat | None = None


class FieldMetric(Metric):
    operation_type: Literal["average", "sum", "max"]
    data_type: Literal["number", "date"]
    source_field: str
    params: FieldMetricParams
    filter: Query | None = None


class Now(Metric):
    operation_type: Literal["now"]
    data_type: Literal["number"]
    references: list[ColumnId] = Field(max_length=0)


class OverallSum(Metric):
    operation_type: Literal["overall_sum"]
    data_type: Literal["number"]
    references: list[ColumnId] = Field(min_length=1, max_length=1)


class TimeUnit(StrictModel):
    unit: Literal["s", "m", "h", "d"]


class NormalizeByUnit(Metric):
    """Another metric's value per unit of time: divided by the interval of the layer's date histogram."""

    operation_type: Literal["normalize_by_unit"]
    data_type: Literal["number"]
    references: list[ColumnId] = Field(min_length=1, max_length=1)
    params: TimeUnit


class MathNode(StrictModel):
    """A call in a formula; an argument is a number, a column's id, or another call."""

    type: Literal["function"]
    name: Literal["add", "subtract", "multiply", "divide"]
    args: list[float | ColumnId | MathNode] = Field(min_length=2, max_length=2)
    location: dict[str, int] | None = None
    text: str | None = None


class MathParams(StrictModel):
    tinymath_ast: MathNode


class Math(Metric):
    operation_type: Literal["math"]
    data_type: Literal["number"]
    references: list[ColumnId] = Field(min_length=1)
    params: MathParams


class FormulaParams(StrictModel):
    formula: str
    is_formula_broken: Literal[False]
    format: ValueFormat


class Formula(Metric):
    """A formula that users edit. Kibana 8 does not parse it on loading: its parts are stored as columns too."""

    operation_type: Literal["formula"]
    data_type: Literal["number"]
    references: list[ColumnId] = Field(min_length=1, max_length=1)
    params: FormulaParams


class StaticValueParams(StrictModel):
    value: str = Field(pattern=r"^\d+(\.\d+)?$")


class StaticValue(Metric):
    operation_type: Literal["static_value"]
    data_type: Literal["number"]
    is_static_value: Literal[True]
    references: list[ColumnId] = Field(max_length=0)
    params: StaticValueParams


class Bucket(Column):
    is_bucketed: Literal[True]


class OrderByColumn(StrictModel):
    type: Literal["column"]
    column_id: ColumnId


class OrderAlphabetical(StrictModel):
    type: Literal["alphabetical"]
    fallback: bool


class OrderCustom(StrictModel):
    """Sorts by `order_agg`, a metric that is not displayed."""

    type: Literal["custom"]


class ParentFormat(StrictModel):
    id: Literal["terms"]


class TermsParams(StrictModel):
    size: int = Field(ge=1, le=1000)
    accuracy_mode: bool = False
    order_by: Annotated[OrderByColumn | OrderAlphabetical | OrderCustom, Field(discriminator="type")]
    order_direction: Literal["asc", "desc"]
    order_agg: Count | FieldMetric | None = None
    other_bucket: Literal[False]  # costs a second request
    missing_bucket: Literal[False]
    parent_format: ParentFormat
    include: list[str | int]
    exclude: list[str | int]
    include_is_regex: Literal[False]
    exclude_is_regex: Literal[False]


class Terms(Bucket):
    operation_type: Literal["terms"]
    data_type: Literal["string", "number", "boolean"]
    scale: Literal["ordinal"]
    source_field: str
    params: TermsParams


class DateHistogramParams(StrictModel):
    interval: str = Field(pattern=r"^[1-9]\d*[mhd]$")
    include_empty_rows: bool
    drop_partials: bool


class DateHistogram(Bucket):
    operation_type: Literal["date_histogram"]
    data_type: Literal["date"]
    scale: Literal["interval"]
    source_field: str
    params: DateHistogramParams


class Range(StrictModel):
    from_: float | None = Field(alias="from")
    to: float | None
    label: str


class RangeFormat(StrictModel):
    id: Literal["range"]
    params: dict[str, Any]


class RangesParams(StrictModel):
    type: Literal["range"]
    max_bars: Literal["auto"]
    ranges: list[Range] = Field(min_length=1)
    parent_format: RangeFormat


class Ranges(Bucket):
    operation_type: Literal["range"]
    data_type: Literal["string"]
    scale: Literal["ordinal"]
    source_field: str
    params: RangesParams


class LabelledFilter(StrictModel):
    input: Query
    label: str


class FiltersParams(StrictModel):
    filters: list[LabelledFilter] = Field(min_length=1)


class Filters(Bucket):
    operation_type: Literal["filters"]
    data_type: Literal["string"]
    scale: Literal["ordinal"]
    params: FiltersParams


AnyColumn = Annotated[
    Count
    | FieldMetric
    | Now
    | OverallSum
    | NormalizeByUnit
    | Math
    | Formula
    | StaticValue
    | Terms
    | DateHistogram
    | Ranges
    | Filters,
    Field(discriminator="operation_type"),
]


class Layer(StrictModel):
    columns: dict[ColumnId, AnyColumn] = Field(min_length=1)
    column_order: list[ColumnId]
    incomplete_columns: dict[str, Any] = Field(max_length=0)
    sampling: Literal[1]
    ignore_global_filters: bool


# How a Lens panel displays its layers


class ColorStop(StrictModel):
    color: Color
    stop: float


class PaletteParams(StrictModel):
    name: Literal["custom"]
    reverse: Literal[False]
    range_type: Literal["number"]
    range_min: float | None
    range_max: float | None
    progression: Literal["fixed"]
    continuity: Literal["above", "below", "all", "none"]
    steps: int
    max_steps: int
    color_stops: list[ColorStop]
    """The lower bound of each colour."""
    stops: list[ColorStop]
    """The upper bound of each colour."""


class Palette(StrictModel):
    type: Literal["palette"]
    name: Literal["custom"]
    params: PaletteParams


class MetricState(StrictModel):
    layer_id: str
    layer_type: Literal["data"]
    metric_accessor: ColumnId
    show_bar: bool
    subtitle: str | None = None
    palette: Palette | None = None


class TableColumn(StrictModel):
    column_id: ColumnId
    color_mode: Literal["none", "cell", "text"] = "none"
    palette: Palette | None = None


class Sorting(StrictModel):
    column_id: ColumnId
    direction: Literal["asc", "desc"]


class Paging(StrictModel):
    size: int = Field(ge=1)
    enabled: bool


class TableState(StrictModel):
    layer_id: str
    layer_type: Literal["data"]
    columns: list[TableColumn] = Field(min_length=1)
    sorting: Sorting | None = None
    paging: Paging | None = None
    row_height: Literal["single", "auto"]
    header_row_height: Literal["single", "auto"]


class YConfig(StrictModel):
    for_accessor: ColumnId
    axis_mode: Literal["left", "right"] | None = None
    color: Color | None = None
    line_style: Literal["solid", "dashed", "dotted"] | None = None
    line_width: int | None = None
    fill: Literal["none", "above", "below"] | None = None


Series = Literal["bar", "bar_stacked", "bar_percentage_stacked", "line", "area"]


class XYDataLayer(StrictModel):
    layer_id: str
    layer_type: Literal["data"]
    series_type: Series
    x_accessor: ColumnId
    accessors: list[ColumnId] = Field(min_length=1)
    split_accessor: ColumnId | None = None
    y_config: list[YConfig] = []


class XYReferenceLayer(StrictModel):
    layer_id: str
    layer_type: Literal["referenceLine"]
    accessors: list[ColumnId] = Field(min_length=1)
    y_config: list[YConfig]


class Legend(StrictModel):
    is_visible: bool
    position: Literal["right", "bottom", "top", "left"]


class Extent(StrictModel):
    mode: Literal["full", "dataBounds"]


class OfAxes(StrictModel, Generic[T]):
    x: T
    y_left: T
    y_right: T


class XYState(StrictModel):
    preferred_series_type: Series
    legend: Legend
    value_labels: Literal["hide", "show"]
    fitting_function: Literal["None"]
    y_left_extent: Extent
    y_right_extent: Extent
    axis_titles_visibility_settings: OfAxes[bool]
    tick_labels_visibility_settings: OfAxes[bool]
    gridlines_visibility_settings: OfAxes[bool]
    labels_orientation: OfAxes[int]
    layers: list[Annotated[XYDataLayer | XYReferenceLayer, Field(discriminator="layer_type")]] = Field(min_length=1)


class FormBased(StrictModel):
    layers: dict[str, Layer] = Field(min_length=1)


class DatasourceStates(StrictModel):
    form_based: FormBased


class State(StrictModel):
    datasource_states: DatasourceStates
    query: Query
    filters: list[Any] = Field(max_length=0)  # unlike KQL in `query`, a filter needs a reference of its own
    internal_references: list[Any] = Field(max_length=0)
    ad_hoc_data_views: dict[str, Any] = Field(max_length=0)


class LensMetricState(State):
    visualization: MetricState


class LensTableState(State):
    visualization: TableState


class LensXYState(State):
    visualization: XYState


class LensAttributes(StrictModel):
    title: str = Field(min_length=1)
    description: str = Field(min_length=1)


class LensMetric(LensAttributes):
    visualization_type: Literal["lnsMetric"]
    state: LensMetricState


class LensTable(LensAttributes):
    visualization_type: Literal["lnsDatatable"]
    state: LensTableState


class LensXY(LensAttributes):
    visualization_type: Literal["lnsXY"]
    state: LensXYState


class Lens(SavedObject):
    type: Literal["lens"]
    type_migration_version: Literal["8.9.0"]
    attributes: Annotated[LensMetric | LensTable | LensXY, Field(discriminator="visualization_type")]

    @property
    def layers(self) -> dict[str, Layer]:
        return self.attributes.state.datasource_states.form_based.layers

    def view_of(self, layer_id: str) -> str:
        """The id of the layer's data view. Raises KeyError without a reference."""
        return {reference.name: reference.id for reference in self.references}[layer_reference(layer_id)]


def layer_reference(layer_id: str) -> str:
    """The name of the reference to a layer's data view. Kibana silently drops a layer without one."""
    return f"indexpattern-datasource-layer-{layer_id}"


# Dashboards


class GridData(StrictModel):
    x: int = Field(ge=0)
    y: int = Field(ge=0)
    w: int = Field(ge=1)
    h: int = Field(ge=1)
    i: str


class EmbeddableConfig(StrictModel):
    enhancements: dict[str, Any] = Field(max_length=0)


class Panel(StrictModel):
    """A panel by reference: the Lens panel is a saved object of its own, in the library."""

    type: Literal["lens"]
    panel_index: str = Field(pattern=rf"^([a-z-]+|{UUID})$")
    grid_data: GridData
    panel_ref_name: str
    embeddable_config: EmbeddableConfig


class Options(StrictModel):
    use_margins: bool
    sync_colors: bool
    sync_cursor: bool
    sync_tooltips: bool
    hide_panel_titles: bool


class RefreshInterval(StrictModel):
    pause: bool
    value: int


class SearchSource(StrictModel):
    query: Query
    filter: list[Any] = Field(max_length=0)


class KibanaSavedObjectMeta(StrictModel):
    search_source_json: SearchSource = Field(alias="searchSourceJSON")


class ControlSort(StrictModel):
    by: Literal["_count", "_key"]
    direction: Literal["asc", "desc"]


class ControlInput(StrictModel):
    id: str
    field_name: str
    title: str
    selected_options: list[str] = Field(max_length=0)
    search_technique: Literal["prefix", "wildcard", "exact"]
    sort: ControlSort
    enhancements: dict[str, Any] = Field(max_length=0)


class Control(StrictModel):
    type: Literal["optionsListControl"]
    order: int
    width: Literal["small", "medium", "large"]
    grow: bool
    explicit_input: ControlInput


class ParentSettings(StrictModel):
    ignore_filters: bool
    ignore_query: bool
    ignore_timerange: bool
    ignore_validations: bool


class ControlGroup(StrictModel):
    control_style: Literal["oneLine", "twoLine"]
    chaining_system: Literal["HIERARCHICAL", "NONE"]
    show_apply_selections: bool
    ignore_parent_settings_json: ParentSettings = Field(alias="ignoreParentSettingsJSON")
    panels_json: dict[str, Control] = Field(alias="panelsJSON")


class DashboardAttributes(StrictModel):
    title: str
    description: str
    panels_json: list[Panel] = Field(alias="panelsJSON", min_length=1)
    options_json: Options = Field(alias="optionsJSON")
    time_restore: Literal[True]
    time_from: str
    time_to: str
    refresh_interval: RefreshInterval
    kibana_saved_object_meta: KibanaSavedObjectMeta
    control_group_input: ControlGroup


class Dashboard(SavedObject):
    type: Literal["dashboard"]
    type_migration_version: Literal["10.2.0", "10.3.0"]
    attributes: DashboardAttributes


KibanaObject = DataView | Lens | Dashboard
_ANY: TypeAdapter[KibanaObject] = TypeAdapter(Annotated[KibanaObject, Field(discriminator="type")])


def parse(body: dict[str, Any]) -> KibanaObject:
    """Parse the object from decoded JSON. Raises Pydantic's ValidationError."""
    return _ANY.validate_python(body)
