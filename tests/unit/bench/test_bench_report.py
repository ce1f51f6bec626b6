"""The report says who wins, and what the figures were taken on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report, results
from bench.alternatives import Alternative
from bench.burst import Burst
from bench.ceilings import Ceilings
from bench.drain import Drain, Round
from bench.freshness import Freshness
from bench.machine import Machine
from bench.memory import Look, Memory
from bench.results import Results, Section
from bench.scaling import Growth
from bench.throughput import Speed

MACHINE = Machine("A processor", 2, 24, "Debian 12", "6.1", "20.10")


def speed(sustained: float) -> Speed:
    return Speed(documents=1000, seconds=2000 / sustained, sustained=sustained)


@pytest.fixture
def found() -> Results:
    """A figure of each kind: the job takes 30,000 documents a second, a consumer 40,000, another 10,000."""
    take = Round(speed(30_000), 0.1)
    freshness = Freshness("compact", 2, 300, [number / 100 for number in range(1, 100)], 1.2, [(0.5, 0.95, 0.99)])
    stages = {"read": [200_000.0], "parse": [100_000.0], "make": [80_000.0], "bulk": [50_000.0, 50_000.0, 50_000.0]}
    others = [
        Alternative("compact", "engineer", 100, [speed(40_000)]),
        Alternative("compact", "one_by_one", 10, [speed(10_000)]),
    ]
    memory = Memory("full", 50, [Look(minute, 300, 2000, 5, 1.5, 0.9) for minute in (1.0, 2.0, 3.0)])

    return Results(
        freshness=Section(MACHINE, "abc", "now", [freshness]),
        drain=Section(MACHINE, "abc", "now", [Drain("compact", 100, [take, take, take])]),
        ceilings=Section(MACHINE, "abc", "now", [Ceilings("compact", 100, stages)]),
        alternatives=Section(MACHINE, "abc", "now", others),
        growth=Section(MACHINE, "abc", "now", [Growth(1, 4, 400, take)]),
        burst=Section(MACHINE, "abc", "now", Burst("compact", 500, 10, [0.5, 4.25], 6, 1.4, 1.5, 1.4)),
        memory=Section(MACHINE, "abc", "now", memory),
    )


def test_results_are_read_as_they_were_written(found: Results, tmp_path: Path) -> None:
    assert results.read(tmp_path) == Results()
    results.write(tmp_path, found)
    assert results.read(tmp_path) == found


def test_ceilings_of_stages_add_up(found: Results) -> None:
    assert found.ceilings is not None
    assert found.ceilings.figures[0].added_up() == pytest.approx(1 / (1 / 100_000 + 1 / 50_000))


def test_the_report_says_who_wins(found: Results, tmp_path: Path) -> None:
    report.write(tmp_path, found)
    page = (tmp_path / report.FILE).read_text()
    assert "**0.75**: the simple consumer wins" in page
    assert "**3.00**" in page
    assert "**0.90**" in page  # of the ceilings added up
    assert "| longest of its 2 batches | 4.2 |" in page
    assert str(MACHINE) in page


def test_each_measure_has_its_plot(found: Results, tmp_path: Path) -> None:
    report.write(tmp_path, found)
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == ["drain", "freshness", "growth", "memory"]


def test_the_report_leaves_out_what_was_not_measured(tmp_path: Path) -> None:
    report.write(tmp_path, Results())
    assert (tmp_path / report.FILE).read_text().startswith("# Benchmarks\n")
    assert not list(tmp_path.glob("*.svg"))
