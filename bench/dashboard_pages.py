"""The dashboard's cost: first paint, refresh, memory, and searches in Elasticsearch with no, one and three viewers; and
how long it takes until an open page shows a match that was sent.

`python -m bench.dashboard_pages --stack dev` measures a running stack, which receives NEW_MATCHES matches and otherwise
stays as it is; Chromium runs beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import mean

import docker
from confluent_kafka import Producer
from docker.models.containers import Container
from elasticsearch import Elasticsearch
from playwright.sync_api import Browser, Page, expect, sync_playwright

from analytics.charts import MATCH_CHARTS
from analytics.search import count
from bench.freshness import p50_p95_p99
from bench.measured_stack import resident_memory
from generator.match_factory import MatchFactory
from harness.load import create_producer
from infra.clients.elasticsearch import ElasticsearchServer
from infra.kafka_acls import ADMIN
from infra.names import DASHBOARD_PORT, MATCHES_TOPIC, container_name
from job.times import now_ms
from tools.chromium import find_chromium
from tools.stack_outputs import NotDeployedError, kafka_settings, read_stack_outputs

LOADS = 20
WATCHED_SECONDS = 120
REFRESH_SECONDS = 10
NEW_MATCHES = 5
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
    """A dashboard, the Elasticsearch that it reads, a producer of its stack's matches, and its container."""

    url: str
    elasticsearch: Elasticsearch
    producer: Producer
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
    print(f"documents: {count(target.elasticsearch):,}")
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
    shown = _until_shown(target, browser)
    print(f"a new match on an open page, seconds: mean {mean(shown):.1f}, at most {max(shown):.1f} of {len(shown)}")


def _until_shown(target: Target, browser: Browser) -> list[float]:
    """Seconds from sending each new match until the open page of its player shows it. Each is sent when the page has
    just refreshed, so that it waits for almost a whole interval."""
    started_ms = now_ms()
    factory = MatchFactory(seed=started_ms, size="compact", start_ms=started_ms, now=now_ms)
    player = {"puuid": f"bench-{started_ms}", "riotIdGameName": f"Bench{started_ms}", "riotIdTagline": "EUW"}
    found = []
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{target.url}?page=Player&player={player['puuid']}")
        expect(page.get_by_text("No document has")).to_be_visible(timeout=60_000)
        for _ in range(NEW_MATCHES):
            match, begin = factory.next(), time.monotonic()
            match.data["info"]["participants"][0] |= player
            target.producer.produce(MATCHES_TOPIC, match.encode(), match.id)
            target.producer.flush()
            expect(page.get_by_role("cell", name=match.id)).to_be_visible(timeout=60_000)
            found.append(time.monotonic() - begin)
    return found


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
        create_producer(kafka_settings(outputs, ADMIN)),
        docker.from_env().containers.get(container_name(options.stack, "dashboard")),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        measure(target, browser)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
