"""The charts of the report and the dashboard, as Vega-Lite specifications.

Whatever changes from one refresh to the next is data, not specification: the dashboard's browser then moves the marks
of the chart that it has, instead of drawing a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import altair as alt

from analytics.builds import GOLD_INTERVAL, BuildStatistics, GoldBucket, GroupStatistics, KillParticipation
from analytics.champion_details import SHOWN_PATCHES, ChampionDetails
from analytics.chart import HEIGHT, WIDTH, Chart, css_colour
from analytics.key_figures import compact, counted, rate
from analytics.match_statistics import (
    ChampionStatistics,
    GameLengthBucket,
    MatchStatistics,
    ObjectiveStatistics,
    PositionStatistics,
    SideStatistics,
    StepRate,
)
from analytics.pipeline_metrics import PipelineMetrics, Points
from analytics.time_range import TimeRange
from infra.names import DEAD_LETTER_TOPIC

# Objects, since Altair takes ten times as long to make them of texts.
_TOOLTIP: dict[str, Any] = {"description": alt.Description("tooltip:N"), "tooltip": alt.Tooltip("tooltip:N")}
"""For the report, whose page has the descriptions as tooltips and for screen readers, and for the dashboard."""
Sizable = TypeVar("Sizable", alt.Chart, alt.LayerChart)
Row = TypeVar("Row")

_PADDING = {"left": 2, "top": 2, "right": 2, "bottom": 2}
MIN_GAMES = 10
"""With fewer games, a champion's win rate is noise."""
MAX_LABELS = 8
GAMES = "won, and number of games"
OF_TWO_TEAMS = "matches of two teams"
NO_TWO_TEAMS = (
    "no match of two teams in this time range (Arena and Swarm have other teams; matches that an earlier version "
    "indexed count after a backfill)"
)
NO_SIDES = (
    "no match of two teams of people in this time range (Arena, Swarm and games against bots do not count; matches "
    "that an earlier version indexed count after a backfill)"
)
NOT_SCRAPED = "unknown: Prometheus has no metrics of the job from this time range; it was down or not scraped"
WHILE_SCRAPED = "as far as Prometheus scraped the job"
NO_CHAMPIONS_OF_MODES = "champions of modes (Swarm, …) do not count"
PICK_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
LINE_COLOURS = ("accent", "second", "blue", "red", "muted", "ink")
LINE_DASHES = ([1, 0], [4, 2], [1, 2])
"""Dashes of the first lines, one of each colour, of the next ones, and of those after them."""
DAY, TIME = "%d %b", "%H:%M"
TICKS = {"minutes": TIME, "hours": TIME, "date": DAY, "week": DAY, "month": DAY, "quarter": DAY, "year": DAY}
"""The format of a tick by the time unit that begins there: midnight is labelled with its date."""


MATCH_CHARTS = 7
"""The number of `match_charts`: a browser waits for all of them before it measures the dashboard or takes a picture."""


def match_charts(matches: MatchStatistics, time_range: TimeRange) -> list[Chart]:
    """The charts from Elasticsearch."""
    steps = matches.steps
    return [
        rate_per_minute(steps, time_range, "matches", "by the end of the game"),
        rate_per_minute(steps, time_range, "documents", "one for each participant"),
        game_lengths(matches.lengths),
        win_rate_against_pick_rate(matches.champions, matches.played),
        positions(matches.positions),
        sides(matches.sides),
        objectives(matches.objectives),
    ]


def build_charts(builds: BuildStatistics) -> list[Chart]:
    """Further charts from Elasticsearch, which the report has; the dashboard has them for one champion."""
    return [
        gold_per_minute(builds.gold),
        kill_participation(builds.kill_participation),
        items(builds.items),
        keystones(builds.keystones),
    ]


def champion_charts(details: ChampionDetails) -> list[Chart]:
    """The charts of one champion."""
    note = "percent of the games of the sliding windows, in all queues that they count; no filter applies"
    win_rate = {"win rate": details.win_rate} if details.win_rate else {}
    return [
        lines_over_time("win-rate", "Win rate over time", note, win_rate, details.win_rate_steps, ".1f"),
        gold_per_minute(details.gold),
        replace(
            groups(
                "by-position",
                "By position",
                f"{GAMES}; {OF_TWO_TEAMS}",
                details.positions,
                f"the games in {OF_TWO_TEAMS}",
            ),
            empty=NO_TWO_TEAMS,
        ),
        groups("by-patch", "By patch", f"{GAMES}; the {SHOWN_PATCHES} newest patches", details.patches, "all"),
        items(details.items),
        keystones(details.keystones),
    ]


def gold_per_minute(buckets: Sequence[GoldBucket]) -> Chart:
    """A histogram of gold per minute, of games in matches of two teams."""
    values = [
        {
            "from": bucket.at_least,
            "to": bucket.at_least + GOLD_INTERVAL,
            "games": bucket.games,
            "tooltip": f"{bucket.at_least}–{bucket.at_least + GOLD_INTERVAL} gold per minute: "
            f"{counted(bucket.games, 'game')}",
        }
        for bucket in buckets
    ]
    bars = (
        alt.Chart(_data(values))
        .mark_bar(color=css_colour("accent"), orient="vertical", binSpacing=1)
        .encode(
            x=alt.X(
                "from:Q", title=None, axis=alt.Axis(grid=False, tickCount=6), scale=alt.Scale(nice=False, zero=False)
            ),
            x2=alt.X2("to"),
            y=_amount("games", values),
            **_TOOLTIP,
        )
    )
    note = f"number of games; {OF_TWO_TEAMS}"
    return Chart("gold-per-minute", "Gold per minute", note, _sized(bars) if values else None, NO_TWO_TEAMS)


def items(found: Sequence[GroupStatistics]) -> Chart:
    """Bars: the win rate of the games that ended with an item."""
    chart = groups("items", "Most bought items", f"{GAMES} that ended with it", found, "the games with items")
    return replace(chart, empty=f"no match in this time range has items; {NO_CHAMPIONS_OF_MODES}")


def keystones(found: Sequence[GroupStatistics]) -> Chart:
    """Bars: the win rate of the games with a keystone."""
    chart = groups("keystones", "Most played keystones", GAMES, found, "the games with keystones")
    return replace(chart, empty=f"no match in this time range has keystones; {NO_CHAMPIONS_OF_MODES}")


def groups(name: str, title: str, note: str, found: Sequence[GroupStatistics], every: str) -> Chart:
    """Bars: the win rate of each group, with its number of games and its share; `every` says of which games."""
    values = [
        {
            "group": group.name,
            "rate": group.win_rate,
            "text": f"{group.win_rate:.0%} of {compact(group.games)}",
            "tooltip": f"{group.name}: won {group.win_rate:.1%} of {counted(group.games, 'game')}, "
            f"{group.share:.1%} of {every}",
        }
        for group in found
    ]
    return Chart(name, title, note, _sized(_win_rate_bars(values, "group")) if values else None)


def _win_rate_bars(values: Sequence[Mapping[str, Any]], field: str) -> alt.LayerChart:
    """Bars of `rate` with `text`, and a line at one half."""
    bars = alt.Chart(_data(values)).encode(
        x=alt.X("rate:Q", axis=None, scale=alt.Scale(domain=[0, 1.35])),  # room for the text
        y=alt.Y(f"{field}:N", sort=None, title=None, axis=alt.Axis(grid=False)),
    )
    half = alt.Chart(_data([{}])).mark_rule(color=css_colour("muted"), strokeDash=[3, 3], aria=False)
    return _layered(
        bars.mark_bar(color=css_colour("accent"), size=16).encode(**_TOOLTIP),
        half.encode(x=alt.XDatum(0.5, axis=None)),
        # At the right edge, since long names of groups leave little room between the bars and it.
        bars.mark_text(align="right", aria=False).encode(x=alt.value("width"), text=alt.Text("text:N")),
    )


def pipeline_charts(metrics: PipelineMetrics, time_range: TimeRange) -> list[Chart]:
    """The charts from Prometheus."""
    lines = (
        ("messages", "Messages per second", "into the topic, and processed", metrics.messages, ",.1f"),
        ("documents", "Documents per second", "acknowledged by Elasticsearch", metrics.documents, ",.1f"),
        ("lag", "Lag", "messages in the topic that the job has not processed", metrics.lag, ",.0f"),
        ("batch-time", "Batch time", "seconds", metrics.batch_seconds, ".2f"),
        ("freshness", "Freshness", "seconds from Kafka to indexed", metrics.freshness_seconds, ".2f"),
    )
    return [
        *(lines_over_time(name, title, note, series, time_range, form) for name, title, note, series, form in lines),
        dead_letters(metrics.dead_letters),
    ]


def stage_charts(metrics: PipelineMetrics, time_range: TimeRange) -> list[Chart]:
    """Further charts from Prometheus, which the dashboard has and the report has not."""
    return [
        lines_over_time(
            "lag-by-partition",
            "Lag by partition",
            "messages that the job has not processed",
            metrics.lag_by_partition,
            time_range,
            ",.0f",
        ),
        replace(
            lines_over_time(
                "sink-waits",
                "Waiting for a service",
                "repeated writes a minute, by service",
                metrics.sink_waits,
                time_range,
                ",.1f",
            ),
            # A service has no counter before its first wait, but the messages have one.
            empty=f"no write had to be repeated, {WHILE_SCRAPED}" if metrics.messages["processed"] else NOT_SCRAPED,
        ),
    ]


def dead_letters_over_time(rates: Mapping[str, Points], time_range: TimeRange) -> Chart:
    """Lines: dead letters a minute, of each reason that has any. `rates` without a reason are unknown."""
    lines = {reason: points for reason, points in rates.items() if any(rate for _, rate in points)}
    chart = lines_over_time(
        "dead-letter-rates", "Dead letters over time", "a minute, by reason", lines, time_range, ",.1f"
    )
    return replace(chart, empty=f"no dead letter in this time range, {WHILE_SCRAPED}" if rates else NOT_SCRAPED)


def rate_per_minute(
    steps: Sequence[StepRate], time_range: TimeRange, what: Literal["matches", "documents"], note: str
) -> Chart:
    """Bars over time."""
    date_time = _date_time(time_range)
    values = [
        {
            "from": _millis(step.start),
            "to": _millis(step.start) + time_range.step_seconds * 1000,
            "amount": getattr(step, what),
            "tooltip": f"{step.start:{date_time}}: {rate(getattr(step, what))} {what} per minute",
        }
        for step in steps
    ]
    bars = (
        alt.Chart(_data(values))
        .mark_bar(color=css_colour("accent"), orient="vertical", binSpacing=1)
        .encode(x=_time_axis("from"), x2=alt.X2("to"), y=_amount("amount", values), **_TOOLTIP)
    )
    has_data = any(step.documents for step in steps)
    seconds = time_range.step_seconds
    if seconds != 60:
        note += f"; means of {f'{seconds} s' if seconds % 60 else f'{seconds // 60} minutes'}"
    return Chart(f"{what}-per-minute", f"{what.capitalize()} per minute", note, _sized(bars) if has_data else None)


def game_lengths(lengths: Sequence[GameLengthBucket]) -> Chart:
    """A histogram of the game lengths."""
    values = []
    for length in lengths:
        minutes = f"{length.at_least}–{length.below}" if length.below else f"{length.at_least}+"
        tooltip = f"{minutes} minutes: {counted(length.matches, 'match')}"
        values.append({"minutes": minutes, "matches": length.matches, "tooltip": tooltip})
    bars = (
        alt.Chart(_data(values))
        .mark_bar(color=css_colour("accent"))
        .encode(
            x=alt.X("minutes:N", sort=None, title=None, axis=alt.Axis(grid=False, labelAngle=0)),
            y=_amount("matches", values),
            **_TOOLTIP,
        )
    )
    has_data = any(length.matches for length in lengths)
    return Chart("game-lengths", "Game length", "matches by minutes played", _sized(bars) if has_data else None)


def win_rate_against_pick_rate(champions: Sequence[ChampionStatistics], matches: int) -> Chart:
    """A scatter plot of champions. The dashed lines are the 95 % confidence interval of equally strong champions."""
    shown = [champion for champion in champions if champion.games >= MIN_GAMES]
    labelled = _outliers(shown)
    values = [
        {
            "pick": champion.pick_rate,
            "win": champion.win_rate,
            "tooltip": f"{champion.name}: won {champion.win_rate:.1%} of {counted(champion.games, 'game')}",
            "label": champion.name if champion in labelled else "",
            # The label is on the side that has room for it.
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
        alt.Chart(_data(_confidence_lines(shown, matches)))
        .mark_line(color=css_colour("muted"), strokeDash=[3, 3], strokeWidth=1, aria=False)
        .encode(x=x, y=y, detail=alt.Detail("sign:N")),
        points.mark_circle(color=css_colour("accent"), size=42, opacity=0.75).encode(**_TOOLTIP),
        *(
            points.transform_filter(alt.datum.left == left)
            .mark_text(align="right" if left else "left", dx=-7 if left else 7, aria=False)
            .encode(text=alt.Text("label:N"))
            for left in (True, False)
        ),
    )
    return Chart(
        "win-rate-against-pick-rate",
        "Win rate against pick rate",
        f"champions with {MIN_GAMES} games or more; between the lines is chance (95 %)",
        _sized(chart) if shown else None,
        f"no champion has {MIN_GAMES} games yet; {NO_CHAMPIONS_OF_MODES}",
    )


def positions(found: Sequence[PositionStatistics]) -> Chart:
    """Bars by position, one column for each measure."""
    chart = _columns(
        {position.name: position for position in found},
        (
            ("KDA", lambda position: (position.kda, position.games), ".2f"),
            ("CS", lambda position: (position.cs, position.games), ".0f"),
            ("Gold per minute", lambda position: (position.gold_per_minute, position.games), ".0f"),
        ),
    )
    return Chart("positions", "By position", f"means of all games; {OF_TWO_TEAMS}", chart, NO_TWO_TEAMS)


def kill_participation(found: Sequence[KillParticipation]) -> Chart:
    """Bars by position: the share of the team's kills, of winners and of losers."""
    chart = _columns(
        {each.position: each for each in found},
        (
            ("Winners", lambda each: (each.won, each.won_games), ".0%"),
            ("Losers", lambda each: (each.lost, each.lost_games), ".0%"),
        ),
        longest=1.0,
    )
    note = f"mean share of the team's kills, by position; {OF_TWO_TEAMS}"
    return Chart("kill-participation", "Kill participation", note, chart, NO_TWO_TEAMS)


def _columns(
    rows: Mapping[str, Row],
    measures: Sequence[tuple[str, Callable[[Row], tuple[float | None, int]], str]],
    longest: float | None = None,
) -> alt.LayerChart | None:
    """Bars with a row for each position and a column for each measure: its title, the mean with its number of games,
    and the format. `longest` is the value of the longest bar; without it, the greatest of each column."""
    values = []
    for column, (title, measure, form) in enumerate(measures):
        means = [mean for row in rows.values() if (mean := measure(row)[0]) is not None]
        full = longest or max(means, default=0) or 1
        for position, row in rows.items():
            mean, games = measure(row)
            if mean is not None:
                name = position.capitalize()
                values.append(
                    {
                        "position": name,
                        "from": column,
                        "to": column + mean / full * 0.66,  # a third of the column is for the text
                        "text": f"{mean:{form}}",
                        "tooltip": f"{name}: {title} {mean:{form}}, the mean of {counted(games, 'game')}",
                    }
                )
    titles = alt.Axis(
        title=None,
        orient="top",
        grid=False,
        values=list(range(len(measures))),
        labelExpr=f"{[title for title, *_ in measures]}[datum.value]",
        labelAlign="left",
        labelBound=False,
    )
    bars = alt.Chart(_data(values)).encode(
        x=alt.X("from:Q", axis=titles, scale=alt.Scale(domain=[0, len(measures)])),
        y=alt.Y("position:N", sort=None, title=None, axis=alt.Axis(grid=False)),
    )
    chart = _layered(
        bars.mark_bar(color=css_colour("accent")).encode(x2=alt.X2("to"), **_TOOLTIP),
        bars.mark_text(align="left", dx=4, aria=False).encode(x=alt.X("to:Q"), text=alt.Text("text:N")),
    )
    return _sized(chart) if rows else None


def sides(found: Sequence[SideStatistics]) -> Chart:
    """Each side's share of the wins, and of kills, gold, damage, CS and vision."""
    values = []
    if found:
        measures = (("wins", "win_rate", "{:.1%}"), *((name, name, "{:,.0f}") for name in _SIDE_MEASURES))
        for measure, attribute, form in measures:
            amounts = [getattr(side, attribute) for side in found]
            for side, amount in zip(found, amounts, strict=True):
                # The second is the rest: both rounded by themselves could make more than all.
                shown = 1 - round(amounts[0], 3) if measure == "wins" and side is found[1] else amount
                text = form.format(shown)
                values.append(
                    {
                        "measure": measure.capitalize() if measure != "cs" else "CS",
                        "side": side.name,
                        "amount": amount / (sum(amounts) or 1),
                        "text": text,
                        "tooltip": f"{side.name}: {text} {measure}" + (" per match" if measure != "wins" else ""),
                    }
                )
    rows = alt.Chart(_data(values)).encode(y=alt.Y("measure:N", sort=None, title=None, axis=alt.Axis(grid=False)))
    share = alt.X("amount:Q", axis=None, stack="normalize")
    colour = alt.Color("side:N", scale=alt.Scale(domain=["blue", "red"], range=[css_colour("blue"), css_colour("red")]))
    ends: tuple[tuple[str, Literal["left", "right"], int, int | str], ...]
    ends = (("blue", "left", 8, 0), ("red", "right", -8, "width"))
    texts = [
        rows.transform_filter(alt.datum.side == side)
        .mark_text(align=align, dx=dx, color=css_colour("card"), aria=False)
        .encode(x=alt.value(at), text=alt.Text("text:N"))
        for side, align, dx, at in ends
    ]
    middle = alt.Chart(_data([{}])).mark_rule(color=css_colour("card"), aria=False).encode(x=alt.datum(0.5))
    chart = _layered(rows.mark_bar().encode(x=share, color=colour, **_TOOLTIP), middle, *texts)
    return Chart(
        "sides",
        "Blue against red",
        f"{OF_TWO_TEAMS}, no bots; wins and means of all champions and positions",
        _sized(chart) if found else None,
        NO_SIDES,
    )


def objectives(found: Sequence[ObjectiveStatistics]) -> Chart:
    """Bars: how often the team won that was the first to take an objective."""
    values = [
        {
            "objective": each.name,
            "rate": each.win_rate,
            "text": f"{each.win_rate:.0%} of {compact(each.teams)}",
            "tooltip": f"{each.win_rate:.1%} of {counted(each.teams, 'team')} with the first {each.name.lower()} won",
        }
        for each in found
    ]
    return Chart(
        "objectives",
        "Objectives and winning",
        "won by the team that took the first one; all champions and positions",
        _sized(_win_rate_bars(values, "objective")) if found else None,
        "no match of two teams of people in this time range has objectives: they are of Summoner's Rift",
    )


def dead_letters(reasons: Mapping[str, float]) -> Chart:
    """Bars: dead letters by reason. Without a reason they are unknown: the job has a counter of each from its start."""
    found = sorted(((count, reason) for reason, count in reasons.items() if count), reverse=True)
    values = [
        {
            "reason": reason,
            "share": count / found[0][0],
            "text": f"{count:,.0f}",
            "tooltip": f"{reason}: {counted(count, 'message')}",
        }
        for count, reason in found
    ]
    bars = alt.Chart(_data(values)).encode(
        x=alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, 1.25])),  # room for the text
        y=alt.Y("reason:N", sort=None, title=None, axis=alt.Axis(grid=False)),
    )
    chart = _layered(
        bars.mark_bar(color=css_colour("bad"), size=18).encode(**_TOOLTIP),
        bars.mark_text(align="left", dx=4, aria=False).encode(text=alt.Text("text:N")),
    )
    return Chart(
        "dead-letters",
        "Dead letters",
        f"by reason, since the job last started; {DEAD_LETTER_TOPIC} has all",
        _sized(chart) if found else None,
        "none since the job last started"
        if reasons
        else "unknown: Prometheus has no metrics of the job; it is down or not scraped",
    )


def lines_over_time(
    name: str, title: str, note: str, lines: Mapping[str, Points], time_range: TimeRange, form: str
) -> Chart:
    """Lines over time; `form` is the number format of the tooltips."""
    names = [line for line, points in lines.items() if points]
    # A time without a value is included: the line has a gap there.
    step = timedelta(seconds=time_range.step_seconds)
    values = [
        {
            "line": line,
            "at": _millis(at),
            "value": found.get(at),
            "isolated": at in found and at - step not in found and at + step not in found,
        }
        for line in names
        for found in [dict(lines[line])]
        for at in time_range.step_times
    ]
    tooltips: dict[datetime, list[str]] = {}
    for line in names:
        for at, value in lines[line]:
            tooltips.setdefault(at, []).append(f"{line} {_number(value, form)}")
    half, date_time = time_range.step_seconds * 500, _date_time(time_range)
    hover_areas = [
        {
            "from": max(_millis(at) - half, _millis(time_range.start)),
            "to": min(_millis(at) + half, _millis(time_range.end)),
            "tooltip": f"{at:{date_time}}: {', '.join(texts)}",
        }
        for at, texts in tooltips.items()
    ]
    colour = alt.Color(
        "line:N",
        scale=alt.Scale(domain=names, range=[css_colour(colour) for colour in LINE_COLOURS]),
        legend=alt.Legend(symbolType="stroke", columns=2) if len(names) > 1 else None,
    )
    base = alt.Chart(_data(values)).encode(x=_time_axis("at"), y=_amount("value", values), color=colour)
    curves = base.mark_line(strokeWidth=2, aria=False)
    if len(names) > len(LINE_COLOURS):
        dashes = [LINE_DASHES[number // len(LINE_COLOURS) % len(LINE_DASHES)] for number in range(len(names))]
        curves = curves.encode(strokeDash=alt.StrokeDash("line:N", scale=alt.Scale(domain=names, range=dashes)))
    chart = _layered(
        curves,
        # A line of a single point would be invisible.
        base.transform_filter(alt.datum.isolated).mark_circle(size=16, opacity=1, aria=False),
        alt.Chart(_data(hover_areas))
        .mark_rect(opacity=0)
        .encode(x=alt.X("from:T"), x2=alt.X2("to"), y=alt.value(0), y2=alt.value("height"), **_TOOLTIP),
    )
    return Chart(name, title, note, _sized(chart) if names else None)


_SIDE_MEASURES = ("kills", "gold", "damage", "cs", "vision")


def _confidence(games: float) -> float:
    """Half the width of the 95 % confidence interval of a win rate of one half over `games` games."""
    return 1.96 * 0.5 / math.sqrt(games)


def _confidence_lines(champions: Sequence[ChampionStatistics], matches: int) -> list[dict[str, float]]:
    """The confidence interval by pick rate, within the range of the champions' pick and win rates."""
    if not champions:
        return []
    lowest, highest = (pick(champion.pick_rate for champion in champions) for pick in (min, max))
    farthest = max(abs(champion.win_rate - 0.5) for champion in champions)
    picks = [lowest * (highest / lowest) ** (step / 60) for step in range(61)]
    return [
        {"pick": pick, "win": 0.5 + sign * _confidence(pick * matches), "sign": sign}
        for sign in (-1, 1)
        for pick in picks
        if _confidence(pick * matches) <= farthest
    ]


def _outliers(champions: Sequence[ChampionStatistics]) -> list[ChampionStatistics]:
    """The champions farthest outside the confidence interval whose labels do not overlap."""

    def deviation(champion: ChampionStatistics) -> float:
        return abs(champion.win_rate - 0.5) / _confidence(champion.games)

    def near(one: ChampionStatistics, other: ChampionStatistics) -> bool:
        return all(
            abs(value(one) - value(other)) < share * (max(map(value, champions)) - min(map(value, champions)))
            for value, share in ((_log_pick_rate, 0.3), (_win_rate, 0.08))
        )

    found: list[ChampionStatistics] = []
    for champion in sorted(champions, key=deviation, reverse=True):
        if len(found) == MAX_LABELS or deviation(champion) <= 1:
            break
        if not any(near(champion, other) for other in found):
            found.append(champion)
    return found


def _log_pick_rate(champion: ChampionStatistics) -> float:
    return math.log(champion.pick_rate)


def _win_rate(champion: ChampionStatistics) -> float:
    return champion.win_rate


def _number(value: float, form: str) -> str:
    """The value in this format; with two significant digits if the format would show a value other than 0 as 0."""
    text = f"{value:{form}}"
    return f"{value:.2g}" if value and not text.strip("-0.") else text


def _data(values: Iterable[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[dict(value) for value in values])


def _layered(*charts: alt.Chart) -> alt.LayerChart:
    return alt.LayerChart(layer=list(charts))


def _sized(chart: Sizable) -> Sizable:
    """The chart in the size of all charts, axes included."""
    return chart.properties(
        width=WIDTH, height=HEIGHT, autosize=alt.AutoSizeParams(type="fit", contains="padding"), padding=_PADDING
    )


def _time_axis(field: str) -> alt.X:
    """An axis over all times of the data."""
    return alt.X(
        f"{field}:T",
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(title=None, grid=False, format=TICKS, tickCount=5),
    )


def _amount(field: str, values: Sequence[Mapping[str, Any]]) -> alt.Y:
    # Only zeros: the line belongs at the bottom, not in the middle.
    scale = alt.Scale(domainMin=0) if any(value[field] for value in values) else alt.Scale(domain=[0, 1])
    return alt.Y(f"{field}:Q", axis=alt.Axis(title=None, tickCount=5), scale=scale)


def _date_time(time_range: TimeRange) -> str:
    """The format of the steps' times: with seconds if a step does not begin at a whole minute."""
    return f"{DAY} {TIME}:%S" if any(time.second for time in time_range.step_times) else f"{DAY} {TIME}"


def _millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)
