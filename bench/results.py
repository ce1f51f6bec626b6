"""Benchmark results: the figures of all measures in results.json, each with its machine, commit and time."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import docker
import msgspec
from msgspec import Struct

from bench.alternatives import Alternative
from bench.burst import Burst
from bench.ceilings import Ceilings
from bench.dashboard_queries import DashboardQueries
from bench.drain import Drain
from bench.freshness import Freshness
from bench.machine import Machine, this_machine
from bench.memory import Memory
from bench.progress import BenchError
from bench.rest import Rest
from bench.scaling import ScalingPoint
from bench.start import Start

FILE = "results.json"
Figures = TypeVar("Figures")


class Section(Struct, Generic[Figures], frozen=True):
    """The figures of one measure, with the machine, commit and time they were measured at."""

    machine: Machine
    commit: str
    measured_at: str
    figures: Figures


class Results(Struct):
    """The figures of all measures. A measure that was not taken is None."""

    freshness: Section[list[Freshness]] | None = None
    queries: Section[DashboardQueries] | None = None
    drain: Section[list[Drain]] | None = None
    ceilings: Section[list[Ceilings]] | None = None
    alternatives: Section[list[Alternative]] | None = None
    scaling: Section[list[ScalingPoint]] | None = None
    burst: Section[Burst] | None = None
    memory: Section[Memory] | None = None
    rest: Section[list[Rest]] | None = None
    start: Section[list[Start]] | None = None


def read_results(folder: Path) -> Results:
    """Read the folder's results.json; empty results if there is none.

    Raises BenchError if its content does not fit, for example because an earlier version wrote it.
    """
    file = folder / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Results) if file.exists() else Results()
    except msgspec.DecodeError as error:
        raise BenchError(f"{file} cannot be read: {error}. Delete it, or choose another folder: --results") from error


def write_results(folder: Path, results: Results) -> None:
    """Write the folder's results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def new_section(engine: docker.DockerClient, figures: Figures) -> Section[Figures]:
    """A section for figures that were just measured, from this checkout."""
    return Section(this_machine(engine), current_commit(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", figures)


@cache
def current_commit() -> str:
    """The checkout's commit, with `-dirty` if files differ from it. Raises BenchError if git cannot describe it.

    Cached, because writing the first results makes the checkout dirty.
    """
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    if described.returncode:
        raise BenchError(f"the commit under measurement is unknown: {described.stderr.strip()}")
    return described.stdout.strip()
