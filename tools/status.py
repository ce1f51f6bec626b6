"""`make status`: each link of the chain with its figures, from producer to searchable document; which is broken."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from infra.clients.docker_engine import DockerUnavailableError
from infra.clients.prometheus import PrometheusClient, PrometheusError
from tools import pipeline_metrics
from tools.health import Chain, ChainState, ServiceState
from tools.pipeline_metrics import Pipeline, Points
from tools.stack_outputs import NotDeployedError, outputs_of
from tools.time_range import STEPS, Period

DOCUMENTS_LIMIT_SECONDS = 180
TREND_STEP_SECONDS = 15
"""The trends are of the last quarter of an hour."""
WATCH_SECONDS = 2
NO_PAGE = ("7077", "9042", "29092")
"""Ports that no browser opens."""
BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Status:
    """The stack at a moment: its Pulumi outputs, its chain, its trends or why there are none."""

    stack: str
    at: datetime
    outputs: Mapping[str, Any]
    chain: ChainState
    trends: Pipeline | str


def ask(stack: str, outputs: Mapping[str, Any], chain: Chain) -> Status:
    """The status now."""
    now = datetime.now(UTC)
    prometheus = PrometheusClient(f"http://{outputs['services']['prometheus']['9090']}")
    trends: Pipeline | str
    try:
        trends = pipeline_metrics.read(prometheus, Period(now, TREND_STEP_SECONDS))
    except PrometheusError as error:
        trends = str(error)
    return Status(stack, now, outputs, chain.state(), trends)


def screen(status: Status, console: Console) -> RenderableType:
    """The status as it fits the console best."""
    services, trends = _panel("Services", _services(status)), _panel("Last 15 minutes", _trends(status))
    below: RenderableType = Group(trends, services)
    beside = Table.grid(padding=(0, 1))
    beside.add_row(services, trends)
    if Measurement.get(console, console.options.update(width=1000), beside).maximum <= console.width:
        below = beside
    return Group(_head(status), _panel("Chain", _links(status)), below)


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", expand=title == "Chain")


def _head(status: Status) -> Text:
    broken = status.chain.broken
    head = Text.assemble(
        (" ● ", "bold red" if broken else "bold green"),
        ("lolstack ", "bold"),
        (status.stack, "bold cyan"),
        f"  {len(status.chain.services)} services, images from {status.outputs['imageSource']}",
        (f"  {status.at:%Y-%m-%d %H:%M:%S} UTC", "dim"),
    )
    if broken:
        head.append(f"\n   broken: {broken.name}: {broken.trouble}", "bold red")
    return head


def _links(status: Status) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, min_width=1)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for link in status.chain.links:
        words = Text(link.figures)
        if link.trouble:
            words.append(f"\n{link.trouble}", "red")
        table.add_row(_mark(not link.trouble), link.name, words)
    return table


def _mark(well: bool, starting: bool = False) -> Text:
    if not well:
        return Text("✗", "red")
    return Text("○", "yellow") if starting else Text("●", "green")


def _services(status: Status) -> Table:
    table = Table.grid(padding=(0, 1))
    for justify in ("left", "left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    for service in status.chain.services:
        addresses = status.outputs["services"].get(service.name, {})
        table.add_row(
            _mark(service.well, service.state == "starting"),
            service.name,
            _shown(addresses),
            f"{service.memory / 2**20:,.0f} MiB" if service.up else Text(service.state, "red"),
            Text(_life(service), "dim"),
        )
    for left_out in status.outputs["leftOut"]:
        table.add_row("", Text(left_out, "dim"), Text("left out", "yellow"), "", "")
    return table


def _trends(status: Status) -> RenderableType:
    if isinstance(status.trends, str):
        return Text(status.trends, "red")
    found = status.trends
    start = status.at - timedelta(seconds=STEPS * TREND_STEP_SECONDS)
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, style="cyan")
    rows: list[tuple[str, Points, str]] = [
        *((name.split()[0], points, "{:,.1f}/s") for name, points in found.messages.items()),
        *((name, points, "{:,.1f}/s") for name, points in found.documents.items()),
        *((name, points, "{:,.0f}") for name, points in found.lag.items()),
        *((f"batch time {name}", points, "{:.2f} s") for name, points in found.batch_seconds.items()),
        *((f"freshness {name}", points, "{:.2f} s") for name, points in found.message_age_seconds.items()),
    ]
    for name, points, form in rows:
        newest = points[-1][1] if points and points[-1][0] > status.at - timedelta(seconds=60) else None
        table.add_row(name, Text("–" if newest is None else form.format(newest)), sparkline(points, start))
    return table


def sparkline(points: Points, start: datetime) -> str:
    """The values of two steps a character, from zero to the highest; a space where there is none."""
    values: list[list[float]] = [[] for _ in range(STEPS // 2)]
    for at, value in points:
        step = round((at - start).total_seconds() / TREND_STEP_SECONDS) - 1
        values[min(max(step, 0) // 2, len(values) - 1)].append(value)
    top = max((value for _, value in points), default=0) or 1
    return "".join(BLOCKS[min(int(max(pair) / top * len(BLOCKS)), len(BLOCKS) - 1)] if pair else " " for pair in values)


def _shown(addresses: Mapping[str, str]) -> Text:
    """The addresses, those of pages as links: localhost:8080, or localhost:8080 :7077 where there are several."""
    shown = Text(style="dim")
    for port, address in sorted(addresses.items(), key=lambda item: item[0] in NO_PAGE):
        text = f" :{address.rpartition(':')[2]}" if shown else address
        shown.append(text, "" if port in NO_PAGE else f"link http://{address}")
    return shown


def _life(service: ServiceState) -> str:
    """How long it has run, and how often it was started again."""
    parts = [_short(service.up)] if service.up else []
    if service.restarts:
        parts.append(f"{service.restarts} restarts")
    return ", ".join(parts)


def _short(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every link is well, 1 where one is broken, 2 where there is no such stack."""
    parser = argparse.ArgumentParser(prog="make status")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--wait", action="store_true", help="wait until a document can be found")
    parser.add_argument("--watch", action="store_true", help="go on until it is interrupted")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        outputs = outputs_of(options.stack)
        chain = Chain(options.stack, outputs)
    except (NotDeployedError, DockerUnavailableError) as error:
        console.print(Text(str(error)), soft_wrap=True)
        return 2 if isinstance(error, NotDeployedError) else 1
    try:
        return _show(console, options, outputs, chain)
    except KeyboardInterrupt:
        return 130


def _show(console: Console, options: argparse.Namespace, outputs: Mapping[str, Any], chain: Chain) -> int:
    if options.wait and "generator" in outputs["services"]:
        with console.status("waiting for the first document to be searchable"):
            _wait_for_documents(chain)
    if options.watch and console.is_terminal:
        return _watch(console, options.stack, outputs, chain)
    status = ask(options.stack, outputs, chain)
    console.print(screen(status, console))
    for name, reason in outputs["leftOut"].items():
        console.print(Text(f"{name} is left out: {reason}", "yellow"), soft_wrap=True)
    return 1 if status.chain.broken else 0


def _watch(console: Console, stack: str, outputs: Mapping[str, Any], chain: Chain) -> int:
    status = ask(stack, outputs, chain)
    try:
        with Live(screen(status, console), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_SECONDS)
                status = ask(stack, outputs, chain)
                live.update(screen(status, console), refresh=True)
    except KeyboardInterrupt:
        return 1 if status.chain.broken else 0


def _wait_for_documents(chain: Chain) -> None:
    # Past the limit the table says what is wrong.
    try:
        Retrying(
            retry=retry_if_result(lambda count: count == 0),
            stop=stop_after_delay(DOCUMENTS_LIMIT_SECONDS),
            wait=wait_fixed(1),
        )(chain.documents)
    except RetryError:
        return


if __name__ == "__main__":
    sys.exit(main())
