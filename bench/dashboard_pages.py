"""The dashboard's cost: first paint, refresh, memory, and searches in Elasticsearch with no, one and three viewers.

`python -m bench.dashboard_pages --stack dev` measures a running stack, which stays as it is; Chromium runs beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import docker
from docker.models.containers import Container
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Page, expect, sync_playwright

from analytics.charts import MATCH_CHARTS
from bench.freshness import p50_p95_p99
from bench.measured_stack import resident_memory
from infra.clients.elasticsearch import ElasticsearchServer
from infra.names import DASHBOARD_PORT, MATCHES_ALIAS, container_name
from tools.chromium import find_chromium
from tools.stack_outputs import NotDeployedError, read_stack_outputs

LOADS = 20
WATCHED_SECONDS = 120
REFRESH_SECONDS = 10
RECORD_RUNS = """
    window.runs = [];
    const app = document.querySelector("[data-testid=stApp]");
    let begin = null;
    new MutationObserver(() => {
      const running = app.dataset.testScriptState === "running";
      if (running && begin === null) begin = performance.now();
      if (!running && begin !== null) { window.runs.push(performance.now() - begin); begin = null; }
    }).observe(app, {attributes: true, attributeFilter: ["data-test-script-state"]});
"""
"""Records the milliseconds of each run of the page's script, such as a refresh, until the browser has the result."""


@dataclass(frozen=True)
class Target:
    """A dashboard, the Elasticsearch that it reads, and its container."""

    url: str
    elasticsearch: Elasticsearch
    container: Container

    @property
    def searches(self) -> int:
        """Searches of shards that Elasticsearch has run."""
        found = self.elasticsearch.indices.stats(index="lol_*", metric="search")
        return int(found["_all"]["total"]["search"]["query_total"])

    @property
    def memory_mib(self) -> float:
        """Resident memory of the container."""
        return resident_memory(self.container) / 2**20


def measure(target: Target, browser: Browser) -> None:
    """Print all figures."""
    documents = target.elasticsearch.count(index=MATCHES_ALIAS)["count"]
    print(f"documents: {documents:,}")
    print(f"memory without a viewer since its start: {target.memory_mib:.0f} MiB")
    paints = [_first_paint(target, browser) for _ in range(LOADS)]
    print("first paint of all charts, seconds: p50 {:.2f}, p95 {:.2f}".format(*p50_p95_p99(paints)))
    for viewers in (0, 1, 3):
        with ExitStack() as stack:
            pages = [stack.enter_context(_viewer(target, browser)) for _ in range(viewers)]
            before, begin = target.searches, time.monotonic()
            time.sleep(WATCHED_SECONDS)
            searches = (target.searches - before) * REFRESH_SECONDS / (time.monotonic() - begin)
            print(f"{viewers} viewers: {searches:.0f} searches of shards in 10 s, {target.memory_mib:.0f} MiB")
            refreshes = [run / 1000 for page in pages for run in page.evaluate("window.runs")]
        if refreshes:
            print("  refresh, seconds: p50 {:.2f}, p95 {:.2f}".format(*p50_p95_p99(refreshes)), f"of {len(refreshes)}")


def _first_paint(target: Target, browser: Browser) -> float:
    begin = time.monotonic()
    with _viewer(target, browser):
        return time.monotonic() - begin


@contextmanager
def _viewer(target: Target, browser: Browser) -> Iterator[Page]:
    """A page in a browser context of its own, whose charts are all drawn."""
    with browser.new_context(viewport={"width": 1600, "height": 1000}) as context:
        page = context.new_page()
        page.goto(target.url)
        expect(page.locator(".stVegaLiteChart svg")).to_have_count(MATCH_CHARTS, timeout=60_000)
        page.evaluate(RECORD_RUNS)
        yield page


def main() -> int:
    """Returns 0, or 2 if the stack is not deployed."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard_pages", description=__doc__)
    parser.add_argument("--stack", required=True)
    options = parser.parse_args()
    try:
        outputs = read_stack_outputs(options.stack)
    except NotDeployedError as error:
        print(error)
        return 2
    target = Target(
        f"http://{outputs['services']['dashboard'][str(DASHBOARD_PORT)]}/",
        ElasticsearchServer.of_stack(outputs).client(),
        docker.from_env().containers.get(container_name(options.stack, "dashboard")),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        measure(target, browser)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
