"""`make status` and `make watch`: the health and throughput of every stage from producer to searchable document."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from analytics.key_figures import counted
from analytics.pipeline_metrics import PipelineMetrics, Points, read_pipeline_metrics
from analytics.time_range import STEPS, TimeRange
from infra.clients.docker_engine import DockerUnavailableError
from infra.clients.prometheus import Alert, PrometheusError
from infra.logins import CERTIFICATE_RENEWAL
from infra.names import CASSANDRA_PORT, DASHBOARD_PORT, KAFKA_HOST_LISTENER_PORT, make_command
from tools.command_line import run, stack_name
from tools.console import PipedConsole
from tools.health import HealthChecker, ServiceHealth, StackHealth
from tools.printable import sanitize
from tools.stack_outputs import NotDeployedError, connect_prometheus, read_stack_outputs

DOCUMENTS_TIMEOUT_SECONDS = 180
HEALTHY_TIMEOUT_SECONDS = 180
TREND_STEP_SECONDS = 15
"""The trends cover the last 15 minutes."""
REFRESH_SECONDS = 2
NON_HTTP_PORTS = (str(CASSANDRA_PORT), str(KAFKA_HOST_LISTENER_PORT))
"""Ports without a web page."""
SPARKLINE_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class StackStatus:
    """A stack at one time: its Pulumi outputs, its health, and its trends or the error why there are none.

    `notification_failure` is the alert that nobody is notified of alerts, None while it does not fire.
    """

    stack: str
    at: datetime
    outputs: Mapping[str, Any]
    health: StackHealth
    trends: PipelineMetrics | str
    notification_failure: str | None = None


def read_status(stack: str, outputs: Mapping[str, Any], checker: HealthChecker) -> StackStatus:
    """The status now."""
    now = datetime.now(UTC)
    trends: PipelineMetrics | str
    alerts: list[Alert] = []
    try:
        prometheus = connect_prometheus(outputs)
        trends = read_pipeline_metrics(prometheus, TimeRange(now, TREND_STEP_SECONDS))
        with suppress(PrometheusError):
            alerts = prometheus.alerts()
    except PrometheusError as error:
        trends = sanitize(str(error))
    return StackStatus(stack, now, outputs, checker.check(), trends, notification_failure(alerts))


def render(status: StackStatus, console: Console) -> RenderableType:
    """The status for the terminal: services and trends are side by side if the console is wide enough."""
    services, trends = _panel("Services", _services_table(status)), _panel("Last 15 minutes", _trends_table(status))
    below: RenderableType = Group(trends, services)
    beside = Table.grid(padding=(0, 1))
    beside.add_row(services, trends)
    if Measurement.get(console, console.options.update(width=1000), beside).maximum <= console.width:
        below = beside
    return Group(_headline(status), _panel("Pipeline", _stages_table(status), expand=True), below)


def _panel(title: str, content: RenderableType, expand: bool = False) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", expand=expand)


def _headline(status: StackStatus) -> Text:
    broken = status.health.broken
    headline = Text.assemble(
        (" ● ", "bold red" if broken else "bold green"),
        ("lolstack ", "bold"),
        (status.stack, "bold cyan"),
        f"  {counted(len(status.health.services), 'service')}, images from {status.outputs['imageSource']}",
        (f"  {status.at:%Y-%m-%d %H:%M:%S} UTC", "dim"),
    )
    if broken:
        headline.append(f"\n   broken: {broken.name}: {broken.problem}", "bold red")
    if expiry := certificate_expiry(status):
        headline.append(f"\n   {expiry}", "yellow")
    if status.notification_failure:
        headline.append(f"\n   {status.notification_failure}", "yellow")
    return headline


def certificate_expiry(status: StackStatus) -> str | None:
    """When the certificates in use expire, and what to do; None if that is not soon."""
    if status.outputs.get("security") != "strict":
        return None
    expires_at = datetime.fromisoformat(status.outputs["certificatesExpireAt"])
    if status.at < expires_at - CERTIFICATE_RENEWAL:
        return None
    expires = "have expired on" if expires_at <= status.at else "expire on"
    return f"the stack's certificates {expires} {expires_at:%Y-%m-%d}: `{make_command('up', status.stack)}` renews them"


def notification_failure(alerts: Sequence[Alert]) -> str | None:
    """The alert NotificationsFailing in one line; None if it does not fire: the webhook cannot report it."""
    failures = [alert.summary for alert in alerts if (alert.name, alert.state) == ("NotificationsFailing", "firing")]
    if not failures:
        return None
    return sanitize(f"{'; '.join(failures)}: the alert NotificationsFailing has the steps to take")


def _stages_table(status: StackStatus) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, min_width=1)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for stage in status.health.stages:
        text = Text(stage.figures)
        if stage.problem:
            text.append(f"\n{stage.problem}", "red")
        table.add_row(_mark(not stage.problem), stage.name, text)
    return table


def _mark(healthy: bool, starting: bool = False) -> Text:
    if not healthy:
        return Text("✗", "red")
    return Text("○", "yellow") if starting else Text("●", "green")


def _services_table(status: StackStatus) -> Table:
    table = Table.grid(padding=(0, 1))
    for justify in ("left", "left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    for service in status.health.services:
        addresses = status.outputs["services"].get(service.name, {})
        table.add_row(
            _mark(service.healthy, service.state == "starting"),
            service.name,
            _links(addresses),
            f"{service.memory / 2**20:,.0f} MiB" if service.uptime else Text(service.state, "red"),
            Text(_uptime(service), "dim"),
        )
    for left_out in status.outputs["leftOut"]:
        table.add_row("", Text(left_out, "dim"), Text("left out", "yellow"), "", "")
    return table


def _trends_table(status: StackStatus) -> RenderableType:
    """Throughput, lag, batch time and freshness: the newest value, and a sparkline."""
    if isinstance(status.trends, str):
        return Text(status.trends, "red")
    trends = status.trends
    start = status.at - timedelta(seconds=STEPS * TREND_STEP_SECONDS)
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, style="cyan")
    rows: list[tuple[str, Points, str]] = [
        *((name, points, "{:,.1f}/s") for name, points in {**trends.messages, **trends.documents}.items()),
        *((name, points, "{:,.0f}") for name, points in trends.lag.items()),
        *((f"batch time {name}", points, "{:.2f} s") for name, points in trends.batch_seconds.items()),
        *((f"freshness {name}", points, "{:.2f} s") for name, points in trends.freshness_seconds.items()),
    ]
    for name, points, form in rows:
        newest = points[-1][1] if points and points[-1][0] > status.at - timedelta(seconds=60) else None
        table.add_row(name, Text("–" if newest is None else form.format(newest)), sparkline(points, start))
    return table


def sparkline(points: Points, start: datetime) -> str:
    """A sparkline, two steps per character, scaled from zero to the maximum; a space means no value."""
    values: list[list[float]] = [[] for _ in range(STEPS // 2)]
    for at, value in points:
        step = round((at - start).total_seconds() / TREND_STEP_SECONDS) - 1
        values[min(max(step, 0) // 2, len(values) - 1)].append(value)
    top = max((value for _, value in points), default=0) or 1
    levels = len(SPARKLINE_BLOCKS)
    return "".join(SPARKLINE_BLOCKS[min(int(max(pair) / top * levels), levels - 1)] if pair else " " for pair in values)


def _links(addresses: Mapping[str, str]) -> Text:
    """The host addresses, with links to web pages: 127.0.0.1:8080, or 127.0.0.1:8080 :8443 for several."""
    links = Text(style="dim")
    for port, address in sorted(addresses.items(), key=lambda item: item[0] in NON_HTTP_PORTS):
        text = f" :{address.rpartition(':')[2]}" if links else address
        links.append(text, "" if port in NON_HTTP_PORTS else f"link http://{address}")
    return links


def _uptime(service: ServiceHealth) -> str:
    """How long the service has run, and its number of restarts."""
    parts = [_short_duration(service.uptime)] if service.uptime else []
    if service.restarts:
        parts.append(f"{service.restarts} restarts")
    return ", ".join(parts)


def _short_duration(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if every stage is healthy, 1 if one is broken, 2 if the stack is not deployed."""
    parser = argparse.ArgumentParser(prog="make status")
    parser.add_argument("--stack", type=stack_name, required=True)
    parser.add_argument(
        "--wait", action="store_true", help="wait until a document is searchable and every stage is healthy"
    )
    parser.add_argument("--watch", action="store_true", help="refresh until interrupted")
    options = parser.parse_args(arguments)
    console = PipedConsole()
    try:
        outputs = read_stack_outputs(options.stack)
        checker = HealthChecker(options.stack, outputs)
    except (NotDeployedError, DockerUnavailableError) as error:
        console.print(Text(str(error)), soft_wrap=True)
        return 2 if isinstance(error, NotDeployedError) else 1
    return _show(console, options, outputs, checker)


def _show(console: Console, options: argparse.Namespace, outputs: Mapping[str, Any], checker: HealthChecker) -> int:
    if options.wait and "generator" in outputs["services"]:
        with console.status("waiting for the first document to be searchable"):
            _wait_for_documents(checker)
    if options.watch and console.is_terminal:
        return _watch(console, options.stack, outputs, checker)
    with console.status("checking every stage"):
        status = _healthy_status(options.stack, outputs, checker, HEALTHY_TIMEOUT_SECONDS if options.wait else 0)
    console.print(render(status, console))
    for name, reason in outputs["leftOut"].items():
        console.print(Text(f"{name} is left out: {reason}", "yellow"), soft_wrap=True)
    if dashboard := outputs["services"].get("dashboard"):
        console.print(f"Dashboard: http://{dashboard[str(DASHBOARD_PORT)]}", soft_wrap=True)
    return 1 if status.health.broken else 0


def _watch(console: Console, stack: str, outputs: Mapping[str, Any], checker: HealthChecker) -> int:
    status = read_status(stack, outputs, checker)
    try:
        with Live(render(status, console), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_SECONDS)
                if status.health.broken:  # perhaps because `make up` has changed logins or addresses meanwhile
                    with suppress(NotDeployedError, DockerUnavailableError):
                        now = read_stack_outputs(stack)
                        if now != outputs:
                            outputs, checker = now, HealthChecker(stack, now)
                status = read_status(stack, outputs, checker)
                live.update(render(status, console), refresh=True)
    except KeyboardInterrupt:
        return 1 if status.health.broken else 0


def _wait_for_documents(checker: HealthChecker) -> None:
    """Wait, with a timeout, for a searchable document. After the timeout the status shows the problem."""
    Retrying(
        retry=retry_if_result(lambda count: count == 0),
        stop=stop_after_delay(DOCUMENTS_TIMEOUT_SECONDS),
        wait=wait_fixed(1),
        retry_error_callback=lambda _: None,
    )(checker.count_documents)


def _healthy_status(
    stack: str, outputs: Mapping[str, Any], checker: HealthChecker, timeout_seconds: float
) -> StackStatus:
    """The status as soon as every stage is healthy, or after the timeout: services that `make up` has just replaced
    need some seconds until they deliver."""
    attempts = Retrying(
        retry=retry_if_result(lambda status: status.health.broken is not None),
        stop=stop_after_delay(timeout_seconds),
        wait=wait_fixed(1),
        retry_error_callback=lambda attempt: attempt.outcome and attempt.outcome.result(),
    )
    return attempts(read_status, stack, outputs, checker)


if __name__ == "__main__":
    run(main)
