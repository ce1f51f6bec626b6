"""The report's charts. Their colours are the names of the page's CSS variables, so that one chart is light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from xml.etree import ElementTree

import altair as alt
import vl_convert

from tools.pipeline_metrics import Points
from tools.printable import plain
from tools.report.matches import Champion, Length, Minute, Position, Side
from tools.time_range import Period

WIDTH, HEIGHT = 380, 230
"""Of a whole chart, in CSS pixels; a phone shows it at about this size."""
FONT = "Liberation Sans"
"""For measuring and for PNGs: vl-convert brings it. In the page the charts take the page's font."""
MARGIN, TITLE_HEIGHT = 16, 40
"""Of a PNG, in CSS pixels."""
SCALE = 2
"""PNG pixels a CSS pixel."""
SVG = "http://www.w3.org/2000/svg"
Sizable = TypeVar("Sizable", alt.Chart, alt.LayerChart)
Specification = alt.Chart | alt.LayerChart | alt.HConcatChart


@dataclass(frozen=True)
class Palette:
    """The page's colours."""

    page: str
    card: str
    ink: str
    muted: str
    line: str
    accent: str
    second: str
    blue: str
    red: str
    bad: str


LIGHT = Palette(
    page="#f3f5f8",
    card="#ffffff",
    ink="#18212c",
    muted="#566373",
    line="#e2e7ed",
    accent="#0b7a75",
    second="#b7791f",
    blue="#2f6fd0",
    red="#cc4340",
    bad="#c22f2c",
)
DARK = Palette(
    page="#0f141a",
    card="#182029",
    ink="#e8edf3",
    muted="#9aa8b7",
    line="#2b3642",
    accent="#3cc4bb",
    second="#e9b44c",
    blue="#6aa5ff",
    red="#ff7d79",
    bad="#ff7d79",
)
LEAST_GAMES = 10
"""Below, a champion's win rate says nothing."""
MOST_LABELS = 8
PICK_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
LINE_COLOURS = ("accent", "second", "blue", "red", "muted")
DAY, TIME = "%d %b", "%H:%M"
MOMENT = f"{DAY} {TIME}"
TICKS = {"minutes": TIME, "hours": TIME, "date": DAY, "week": DAY, "month": DAY, "quarter": DAY, "year": DAY}
"""An axis's word for the beginning of each: midnight is a date."""


@dataclass(frozen=True)
class Chart:
    """A chart with its words. Without a specification it says in `empty` why there is nothing to see."""

    name: str
    title: str
    note: str
    specification: Specification | None
    empty: str = "no data in this time"

    def svg(self) -> str:
        """The chart for the page: a mark's words are shown where the pointer rests on it."""
        assert self.specification
        root = ElementTree.fromstring(_svg(self.specification))
        root.set("role", "img")
        root.set("aria-label", self.title)
        for attribute in ("width", "height"):
            del root.attrib[attribute]
        for mark in [element for element in root.iter() if element.tag in (f"{{{SVG}}}path", f"{{{SVG}}}text")]:
            if label := mark.attrib.pop("aria-label", None):
                ElementTree.SubElement(mark, f"{{{SVG}}}title").text = label
        return ElementTree.tostring(root, encoding="unicode")

    def png(self, palette: Palette) -> bytes:
        """The chart with its words in it, to stand alone."""
        assert self.specification
        titled = self.specification.properties(
            title=alt.Title(self.title, subtitle=self.note, anchor="start", offset=12),
            background=_colour("card"),
            padding=MARGIN,
        )
        if not isinstance(titled, alt.HConcatChart):
            titled = titled.properties(width=WIDTH + 2 * MARGIN, height=HEIGHT + 2 * MARGIN + TITLE_HEIGHT)
        colours = asdict(palette)
        svg = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], _svg(titled))
        return vl_convert.svg_to_png(svg, scale=SCALE)


ElementTree.register_namespace("", SVG)


def _svg(specification: Specification) -> str:
    return vl_convert.vegalite_to_svg(_plain(specification.configure(**THEME).to_dict()), allowed_base_urls=[])


def _plain(part: Any) -> Any:
    """The same with plain texts: a control character makes vl-convert abort the process."""
    if isinstance(part, str):
        return plain(part)
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_plain(value) for value in part]
    return part


def _colour(name: str) -> str:
    return f"var(--{name})"


THEME: dict[str, Any] = {
    "font": FONT,
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _colour("muted"),
        "titleColor": _colour("muted"),
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": _colour("line"),
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    },
    "legend": {
        "labelColor": _colour("muted"),
        "labelFontSize": 11,
        "orient": "top",
        "title": None,
        "symbolStrokeWidth": 2,
        "padding": 0,
        "columnPadding": 14,
    },
    "title": {
        "color": _colour("ink"),
        "subtitleColor": _colour("muted"),
        "fontSize": 15,
        "subtitleFontSize": 11,
        "subtitlePadding": 5,
    },
    "text": {"color": _colour("ink"), "fontSize": 11},
}


def per_minute(minutes: Sequence[Minute], period: Period, what: Literal["matches", "documents"], note: str) -> Chart:
    """Bars over time."""
    values = [
        {
            "from": _millis(minute.start),
            "to": _millis(minute.start) + period.step_seconds * 1000,
            "amount": getattr(minute, what),
            "words": f"{minute.start:{MOMENT}}: {getattr(minute, what):,.0f} {what} a minute",
        }
        for minute in minutes
    ]
    bars = (
        alt.Chart(_data(values))
        .mark_bar(color=_colour("accent"), orient="vertical", binSpacing=1)
        .encode(x=_time_axis(period, "from"), x2="to", y=_amount("amount", values), description="words:N")
    )
    any_at_all = any(minute.documents for minute in minutes)
    if period.step_seconds > 60:
        note += f"; means of {period.step_seconds // 60} minutes"
    return Chart(f"{what}-per-minute", f"{what.capitalize()} per minute", note, _sized(bars) if any_at_all else None)


def game_lengths(lengths: Sequence[Length]) -> Chart:
    """Bars by length."""
    values = []
    for length in lengths:
        minutes = f"{length.least}–{length.below}" if length.below else f"{length.least}+"
        words = f"{minutes} minutes: {length.matches:,} matches"
        values.append({"minutes": minutes, "matches": length.matches, "words": words})
    bars = (
        alt.Chart(_data(values))
        .mark_bar(color=_colour("accent"))
        .encode(
            x=alt.X("minutes:N", sort=None, title=None, axis=alt.Axis(grid=False, labelAngle=0)),
            y=_amount("matches", values),
            description="words:N",
        )
    )
    any_at_all = any(length.matches for length in lengths)
    return Chart("game-lengths", "Game length", "matches by minutes played", _sized(bars) if any_at_all else None)


def win_against_pick(champions: Sequence[Champion]) -> Chart:
    """A point for each champion; between the dashed lines is what chance alone does to equal champions."""
    shown = [champion for champion in champions if champion.games >= LEAST_GAMES]
    labelled = _outliers(shown)
    values = [
        {
            "pick": champion.pick_rate,
            "win": champion.win_rate,
            "words": f"{champion.name}: won {champion.win_rate:.1%} of {champion.games:,} games",
            "label": champion.name if champion in labelled else "",
            # The name is where there is room for it.
            "left": champion.pick_rate > PICK_TICKS[-3],
        }
        for champion in shown
    ]
    x = alt.X(
        "pick:Q",
        title="picked in",
        axis=alt.Axis(format="~%", values=PICK_TICKS),
        scale=alt.Scale(type="log", nice=False, padding=10),
    )
    y = alt.Y("win:Q", title="won", axis=alt.Axis(format=".0~%", tickCount=5), scale=alt.Scale(zero=False))
    points = alt.Chart(_data(values)).encode(x=x, y=y)
    chart = _layered(
        alt.Chart(_data(_chance_lines(shown)))
        .mark_line(color=_colour("muted"), strokeDash=[3, 3], strokeWidth=1, aria=False)
        .encode(x=x, y=y, detail="sign:N"),
        points.mark_circle(color=_colour("accent"), size=42, opacity=0.75).encode(description="words:N"),
        *(
            points.transform_filter(alt.datum.left == left)
            .mark_text(align="right" if left else "left", dx=-7 if left else 7, aria=False)
            .encode(text="label:N")
            for left in (True, False)
        ),
    )
    return Chart(
        "win-rate-against-pick-rate",
        "Win rate against pick rate",
        f"from {LEAST_GAMES} games on; between the lines is chance (95 %)",
        _sized(chart) if shown else None,
        f"no champion has {LEAST_GAMES} games yet",
    )


def positions(found: Sequence[Position]) -> Chart:
    """Bars by position, side by side."""
    names = [position.name.capitalize() for position in found]
    measures: tuple[tuple[str, Callable[[Position], float], str], ...] = (
        ("KDA", lambda position: position.kda, ".2f"),
        ("CS", lambda position: position.cs, ".0f"),
        ("Gold a minute", lambda position: position.gold_per_minute, ".0f"),
    )
    columns: list[alt.LayerChart] = []
    for title, value, form in measures:
        values = [
            {
                "position": name,
                "value": value(position),
                "text": f"{value(position):{form}}",
                "words": f"{name}: {title} {value(position):{form}}, the mean of {position.games:,} games",
            }
            for name, position in zip(names, found, strict=True)
        ]
        labels = alt.Axis(title=None, grid=False) if not columns else None
        room_for_text = max((value(position) for position in found), default=0) * 1.45
        bars = alt.Chart(
            _data(values),
            title=alt.Title(
                title, anchor="start", frame="group", fontSize=11, fontWeight="normal", color=_colour("muted")
            ),
        ).encode(
            x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, room_for_text])),
            y=alt.Y("position:N", sort=names, axis=labels),
        )
        columns.append(
            _layered(
                bars.mark_bar(color=_colour("accent")).encode(description="words:N"),
                bars.mark_text(align="left", dx=4, aria=False).encode(text="text:N"),
            ).properties(width=94, height=30 * len(found))
        )
    return Chart("positions", "By position", "means of all games", alt.hconcat(*columns, spacing=14) if found else None)


def sides(found: Sequence[Side]) -> Chart:
    """The two sides' shares of the wins and of what a match has."""
    values = []
    if found:
        measures = (("wins", "win_rate", "{:.1%}"), *((name, name, "{:,.0f}") for name in _SIDE_MEASURES))
        for measure, attribute, form in measures:
            amounts = [getattr(side, attribute) for side in found]
            for side, amount in zip(found, amounts, strict=True):
                text = form.format(amount)
                values.append(
                    {
                        "measure": measure.capitalize() if measure != "cs" else "CS",
                        "side": side.name,
                        "amount": amount / (sum(amounts) or 1),
                        "text": text,
                        "words": f"{side.name}: {text} {measure}" + (" a match" if measure != "wins" else ""),
                    }
                )
    rows = alt.Chart(_data(values)).encode(y=alt.Y("measure:N", sort=None, title=None, axis=alt.Axis(grid=False)))
    share = alt.X("amount:Q", axis=None, stack="normalize")
    colour = alt.Color("side:N", scale=alt.Scale(domain=["blue", "red"], range=[_colour("blue"), _colour("red")]))
    ends: tuple[tuple[str, Literal["left", "right"], int, int | str], ...]
    ends = (("blue", "left", 8, 0), ("red", "right", -8, "width"))
    texts = [
        rows.transform_filter(alt.datum.side == side)
        .mark_text(align=align, dx=dx, color=_colour("card"), aria=False)
        .encode(x=alt.value(at), text="text:N")
        for side, align, dx, at in ends
    ]
    middle = alt.Chart(_data([{}])).mark_rule(color=_colour("card"), aria=False).encode(x=alt.datum(0.5))
    chart = _layered(rows.mark_bar().encode(x=share, color=colour, description="words:N"), middle, *texts)
    return Chart("sides", "Blue against red", "wins, and a team's means a match", _sized(chart) if found else None)


def dead_letters(reasons: Mapping[str, float]) -> Chart:
    """Bars by reason."""
    found = {reason: count for reason, count in reasons.items() if count}
    values = [
        {"reason": reason, "count": count, "text": f"{count:,.0f}", "words": f"{reason}: {count:,.0f} messages"}
        for reason, count in found.items()
    ]
    room_for_text = max(found.values(), default=0) * 1.25
    bars = alt.Chart(_data(values)).encode(
        x=alt.X("count:Q", axis=None, scale=alt.Scale(domain=[0, room_for_text])),
        y=alt.Y("reason:N", sort="-x", title=None, axis=alt.Axis(grid=False)),
    )
    chart = _layered(
        bars.mark_bar(color=_colour("bad"), size=18).encode(description="words:N"),
        bars.mark_text(align="left", dx=4, aria=False).encode(text="text:N"),
    )
    return Chart(
        "dead-letters",
        "Dead letters",
        "by reason, since the job last started; make dlq counts all",
        _sized(chart) if found else None,
        "none since the job last started",
    )


def over_time(name: str, title: str, note: str, lines: Mapping[str, Points], period: Period, form: str) -> Chart:
    """Lines over time; `form` is the format of a value in the words of a moment."""
    names = [line for line, points in lines.items() if points]
    # A moment without a value is in it too: there the line has a gap.
    step = timedelta(seconds=period.step_seconds)
    values = [
        {
            "line": line,
            "at": _millis(at),
            "value": found.get(at),
            "alone": at in found and at - step not in found and at + step not in found,
        }
        for line in names
        for found in [dict(lines[line])]
        for at in period.moments
    ]
    moments: dict[datetime, list[str]] = {}
    for line in names:
        for at, value in lines[line]:
            moments.setdefault(at, []).append(f"{line} {value:{form}}")
    half = period.step_seconds * 500
    hover = [
        {"from": _millis(at) - half, "to": _millis(at) + half, "words": f"{at:{MOMENT}}: {', '.join(said)}"}
        for at, said in moments.items()
    ]
    colour = alt.Color(
        "line:N",
        scale=alt.Scale(domain=names, range=[_colour(colour) for colour in LINE_COLOURS]),
        legend=alt.Legend(symbolType="stroke") if len(names) > 1 else None,
    )
    shown = alt.Chart(_data(values)).encode(x=_time_axis(period, "at"), y=_amount("value", values), color=colour)
    chart = _layered(
        shown.mark_line(strokeWidth=2, aria=False),
        # A line of one point has no length.
        shown.transform_filter(alt.datum.alone).mark_circle(size=16, opacity=1, aria=False),
        alt.Chart(_data(hover))
        .mark_rect(opacity=0)
        .encode(x="from:T", x2="to", y=alt.value(0), y2=alt.value("height"), description="words:N"),
    )
    return Chart(name, title, note, _sized(chart) if names else None)


_SIDE_MEASURES = ("kills", "gold", "damage", "cs", "vision")


def _chance(games: float) -> float:
    """How far from one half the win rate of so many games may be by chance, in 19 of 20 cases."""
    return 1.96 * 0.5 / math.sqrt(games)


def _chance_lines(champions: Sequence[Champion]) -> list[dict[str, float]]:
    """The bounds of chance over the pick rates of these champions, as far as their win rates go."""
    if not champions:
        return []
    matches = champions[0].games / champions[0].pick_rate
    lowest, highest = (pick(champion.pick_rate for champion in champions) for pick in (min, max))
    farthest = max(abs(champion.win_rate - 0.5) for champion in champions)
    picks = [lowest * (highest / lowest) ** (step / 60) for step in range(61)]
    return [
        {"pick": pick, "win": 0.5 + sign * _chance(pick * matches), "sign": sign}
        for sign in (-1, 1)
        for pick in picks
        if _chance(pick * matches) <= farthest
    ]


def _outliers(champions: Sequence[Champion]) -> list[Champion]:
    """The champions farthest beyond chance whose names do not lie over each other."""

    def beyond(champion: Champion) -> float:
        return abs(champion.win_rate - 0.5) / _chance(champion.games)

    def near(one: Champion, other: Champion) -> bool:
        return all(
            abs(value(one) - value(other)) < share * (max(map(value, champions)) - min(map(value, champions)))
            for value, share in ((_place, 0.3), (_win_rate, 0.08))
        )

    found: list[Champion] = []
    for champion in sorted(champions, key=beyond, reverse=True):
        if len(found) == MOST_LABELS or beyond(champion) <= 1:
            break
        if not any(near(champion, other) for other in found):
            found.append(champion)
    return found


def _place(champion: Champion) -> float:
    return math.log(champion.pick_rate)


def _win_rate(champion: Champion) -> float:
    return champion.win_rate


def _data(values: Iterable[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[dict(value) for value in values])


def _layered(*charts: alt.Chart) -> alt.LayerChart:
    return alt.LayerChart(layer=list(charts))


def _sized(chart: Sizable) -> Sizable:
    """The chart in the common size, axes included."""
    return chart.properties(
        width=WIDTH, height=HEIGHT, autosize=alt.AutoSizeParams(type="fit", contains="padding"), padding=2
    )


def _time_axis(period: Period, field: str) -> alt.X:
    domain = [_millis(period.start), _millis(period.end)]
    return alt.X(
        f"{field}:T",
        scale=alt.Scale(type="utc", domain=domain),
        axis=alt.Axis(title=None, grid=False, format=TICKS, tickCount=5),
    )


def _amount(field: str, values: Sequence[Mapping[str, Any]]) -> alt.Y:
    # Nothing but zeros is a line at the bottom, not in the middle.
    scale = alt.Scale(domainMin=0) if any(value[field] for value in values) else alt.Scale(domain=[0, 1])
    return alt.Y(f"{field}:Q", axis=alt.Axis(title=None, tickCount=5), scale=scale)


def _millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)
