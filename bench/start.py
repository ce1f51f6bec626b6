"""Start: `make up` to the first document, a killed driver to the first new document, and `make down`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from msgspec import Struct

from analytics.search import count
from bench.profiles import Profile
from bench.progress import BenchError, print_progress
from harness.stack import Stack, selection_kept
from harness.waiting import eventually
from infra.clients.elasticsearch import ElasticsearchServer

NAME = "bench-start"
CONFIG = {"generatorEnabled": "true"}
"""Defaults with the generator: 2 full-size matches a second, as in the stack `dev`."""
POLL_SECONDS = 0.1
TIMEOUT_SECONDS = 600


class Start(Struct, frozen=True):
    """Seconds of one round.

    `first_document`: from the start of `make up` until a search finds a document. `up`: until `make up` ends.
    `restart`: from the kill of the job's driver until a search finds a match that arrived after it.
    """

    first_document: float
    up: float
    restart: float
    down: float


def measure_start(profile: Profile) -> list[Start]:
    """Deploy and destroy a stack of its own in each round. A deployment before the first round builds its images."""
    stack = Stack(NAME, CONFIG)
    stack.clean_up()
    try:
        print_progress(f"deploying the stack {NAME} once, for its images")
        stack.up()
        stack.destroy()
        return [measure_round(stack, profile, number) for number in range(1, profile.rounds + 1)]
    finally:
        stack.clean_up()
        stack.remove()


def measure_round(stack: Stack, profile: Profile, number: int) -> Start:
    """One round: up, a time under load, kill, down."""
    with ThreadPoolExecutor(1) as pool:
        first_document = pool.submit(seconds_until_document, stack)
        up = timed_make(stack, "up")
    time.sleep(profile.start_load_seconds)
    killed_at = time.monotonic()
    stack.kill_driver()
    restart = time.monotonic() - killed_at + seconds_until_document(stack)
    down = timed_make(stack, "down")
    start = Start(first_document.result(), up, restart, down)
    print_progress(
        f"start, round {number} of {profile.rounds}: first document {start.first_document:.1f} s, make up {up:.1f} s, "
        f"restart of the driver {restart:.1f} s, make down {down:.1f} s"
    )
    return start


def timed_make(stack: Stack, target: str) -> float:
    """The duration of `make TARGET`. Raises BenchError if it fails."""
    with selection_kept():
        started = time.monotonic()
        result = stack.make(target)
        duration = time.monotonic() - started
    if result.rc:
        raise BenchError(f"make {target} failed: {result.stderr.strip() or result.stdout.strip()}")
    return duration


def seconds_until_document(stack: Stack) -> float:
    """The time until a search finds a document of a match that arrived after the call."""
    started = time.monotonic()
    arrived = {"range": {"ingested_at": {"gte": datetime.now(UTC).isoformat()}}}
    # Without a login, which `guarded` allows: the passwords of a new deployment are known only when its `up` has ended.
    elasticsearch = ElasticsearchServer(stack.outputs["elasticsearchUrl"]).client(request_timeout=10)

    def found() -> None:
        assert count(elasticsearch, query=arrived) > 0, "no document of a match that arrived meanwhile"

    eventually(found, TIMEOUT_SECONDS, POLL_SECONDS)
    return time.monotonic() - started
