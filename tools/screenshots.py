"""`python -m tools.screenshots STACK`: take screenshots of a running stack, into docs/pictures: the README's, and the
dashboard in a narrow window."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, expect, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI

from analytics.charts import MATCH_CHARTS
from analytics.time_range import TimeRange
from infra.names import DASHBOARD_PORT, ROOT
from tools.chromium import find_chromium
from tools.health import HealthChecker
from tools.report.__main__ import read_report, write_report
from tools.stack_outputs import read_stack_outputs
from tools.status import read_status, render

PICTURES = ROOT / "docs" / "pictures"
STATUS_COLUMNS = 120
TERMINAL = """
<style>
  body {{ margin: 0; background: {background}; color: {foreground} }}
  pre {{ display: inline-block; margin: 0; padding: 16px; font: 15px/1.17 "DejaVu Sans Mono", monospace }}
  {stylesheet}
</style>
<pre>{code}</pre>
"""


def take_report(browser: Browser, page: Path, scheme: Literal["light", "dark"]) -> None:
    """The top of the report in this colour scheme."""
    window = browser.new_page(viewport={"width": 1400, "height": 1500}, color_scheme=scheme)
    window.goto(page.as_uri())
    window.screenshot(path=PICTURES / f"report-{scheme}.png")
    window.close()


def take_dashboard(
    browser: Browser, url: str, name: str, scheme: Literal["light", "dark"] = "light", width: int = 1600
) -> None:
    """The dashboard's page Matches in this colour scheme, with all charts, in a window of this width."""
    window = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    window.goto(url)
    expect(window.locator(".stVegaLiteChart svg")).to_have_count(MATCH_CHARTS, timeout=60_000)
    window.screenshot(path=PICTURES / f"dashboard-{name}.png", animations="disabled")
    window.close()


def take_status(browser: Browser, stack: str) -> None:
    """The output of `make status` in a terminal."""
    outputs = read_stack_outputs(stack)
    console = Console(record=True, width=STATUS_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(render(read_status(stack, outputs, HealthChecker(stack, outputs)), console))
    window = browser.new_page()
    window.set_content(console.export_html(theme=MONOKAI, code_format=TERMINAL))
    window.locator("pre").screenshot(path=PICTURES / "status.png")
    window.close()


def main() -> None:
    """Take all screenshots."""
    stack = sys.argv[1]
    outputs = read_stack_outputs(stack)
    services = outputs["services"]
    report = read_report(stack, outputs, TimeRange.last(timedelta(hours=1), datetime.now(UTC)))
    page = write_report(report, ROOT / "report" / stack).resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        take_report(browser, page, "light")
        take_report(browser, page, "dark")
        take_status(browser, stack)
        dashboard = f"http://{services['dashboard'][str(DASHBOARD_PORT)]}/?range=15+min"
        take_dashboard(browser, dashboard, "light")
        take_dashboard(browser, dashboard, "dark", "dark")
        take_dashboard(browser, dashboard, "narrow", width=400)
        browser.close()


if __name__ == "__main__":
    main()
