"""The figures of all measures in one JSON file, each with the machine, the commit and the time it was taken at."""

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
from bench.drain import Drain
from bench.freshness import Freshness
from bench.machine import Machine, this_machine
from bench.memory import Memory
from bench.progress import BenchError
from bench.scaling import Growth

FILE = "results.json"
Figures = TypeVar("Figures")


class Section(Struct, Generic[Figures], frozen=True):
    """What one measure found, where and when."""

    machine: Machine
    commit: str
    taken_at: str
    figures: Figures


class Results(Struct):
    """All that was measured; None: not yet."""

    freshness: Section[list[Freshness]] | None = None
    drain: Section[list[Drain]] | None = None
    ceilings: Section[list[Ceilings]] | None = None
    alternatives: Section[list[Alternative]] | None = None
    growth: Section[list[Growth]] | None = None
    burst: Section[Burst] | None = None
    memory: Section[Memory] | None = None


def read(folder: Path) -> Results:
    """The folder's results; empty ones where there are none."""
    file = folder / FILE
    return msgspec.json.decode(file.read_bytes(), type=Results) if file.exists() else Results()


def write(folder: Path, results: Results) -> None:
    """Keep them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def section(engine: docker.DockerClient, figures: Figures) -> Section[Figures]:
    """Figures that were taken just now, from this checkout."""
    return Section(this_machine(engine), checkout(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", figures)


@cache
def checkout() -> str:
    """The checkout's commit, asked once: the first results that are written make it differ from its commit.

    Raises BenchError where git does not know it.
    """
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    if described.returncode:
        raise BenchError(f"which commit is measured? {described.stderr.strip()}")
    return described.stdout.strip()
