"""The benchmark report and its results.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.alternatives import Alternative
from bench.burst import Burst
from bench.ceilings import Ceilings, Stage
from bench.dashboard_queries import DashboardQueries, QueryLatency
from bench.drain import Drain, DrainRound, first_seconds
from bench.freshness import Freshness
from bench.machine import Machine
from bench.memory import Memory, MemorySample
from bench.progress import BenchError
from bench.rest import Rest
from bench.results import FILE, Results, Section, read_results, write_results
from bench.scaling import ScalingPoint
from bench.start import Start
from bench.throughput import Throughput

MACHINE = Machine("A processor", 2, 24, "Debian 12", "6.1", "20.10")


def throughput(sustained: float) -> Throughput:
    return Throughput(documents=1000, seconds=2000 / sustained, sustained=sustained)


@pytest.fixture
def results() -> Results:
    """Figures of each measure: the job reaches 30,000 documents a second, one consumer 40,000, another 10,000."""
    drained = DrainRound(throughput(30_000), 0.1)
    first = first_seconds([Throughput(200_000, seconds, 0) for seconds in (25, 15, 10)], 0)
    percentiles = [number / 100 for number in range(1, 100)]
    freshness = Freshness("compact", 2, 300, percentiles, 1.2, [(0.5, 0.95, 0.99)])
    queries = DashboardQueries("full", 2, 84_000, 40, [QueryLatency("Champions", 12.5, 31.25, 48)])
    stages: dict[Stage, list[float]] = {
        "read": [200_000.0],
        "parse": [100_000.0],
        "build_documents": [80_000.0],
        "bulk": [50_000.0, 50_000.0, 50_000.0],
    }
    alternatives = [
        Alternative("compact", "parallel_bulk", 100, [throughput(40_000)]),
        Alternative("compact", "single_index", 10, [throughput(10_000)]),
    ]
    memory = Memory("full", 50, [MemorySample(minute, 300, 2000, 5, 1.5, 0.9) for minute in (1.0, 2.0, 3.0)])

    windows = [{"kafka": 0.02, "spark-job": 0.5}, {"kafka": 0.01, "spark-job": 0.1}, {"kafka": 0.03, "spark-job": 0.2}]
    rest = Rest("full", 2, 1_200, windows, {"kafka": 300, "spark-job": 500.4}, 61.6)

    return Results(
        freshness=Section(MACHINE, "abc", "now", [freshness]),
        queries=Section(MACHINE, "abc", "now", queries),
        drain=Section(MACHINE, "abc", "now", [Drain("compact", 100, [drained, drained, drained], first)]),
        ceilings=Section(MACHINE, "abc", "now", [Ceilings("compact", 100, stages)]),
        alternatives=Section(MACHINE, "abc", "now", alternatives),
        scaling=Section(MACHINE, "abc", "now", [ScalingPoint(1, 4, 400, drained)]),
        burst=Section(MACHINE, "abc", "now", Burst("compact", 500, 10, [0.5, 4.25], 6, 1.4, 1.5, 1.4)),
        memory=Section(MACHINE, "abc", "now", memory),
        rest=Section(MACHINE, "abc", "now", [rest]),
        start=Section(MACHINE, "abc", "now", [Start(31, 35, 11.5, 12), Start(33, 36, 10.25, 14), Start(32, 37, 9, 13)]),
    )


def test_results_survive_writing_and_reading(results: Results, tmp_path: Path) -> None:
    assert read_results(tmp_path) == Results()
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results


@pytest.mark.parametrize("content", ["{", '{"drain": {"commit": "abc"}}'])
def test_unreadable_results_are_reported_with_their_file(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(BenchError, match=r"results\.json cannot be read"):
        read_results(tmp_path)


def test_combined_ceiling_of_stages(results: Results) -> None:
    assert results.ceilings is not None
    assert results.ceilings.figures[0].combined() == pytest.approx(1 / (1 / 100_000 + 1 / 50_000))


def test_report_compares_the_job_with_consumers_and_ceilings(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    page = (tmp_path / report.FILE).read_text()
    assert "**0.75**: the plain consumer is faster" in page
    assert "**3.00**" in page
    assert "| **the job, sustained, as a share of that** | **0.90** |" in page


def test_report_has_the_latency_of_each_dashboard_query(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    assert "| Champions | 12 | 31.2 | 48 |" in (tmp_path / report.FILE).read_text()


@pytest.mark.parametrize(
    ("documents", "p95", "outcome"),
    [
        (100_000, 49.9, "100,000; all queries meet the goal"),
        (100_000, 50, "100,000; 1 of 2 queries miss the goal"),
        (100_001, 50, "100,001; too many for the goal to apply"),
    ],
)
def test_report_compares_query_latency_with_the_goal(documents: int, p95: float, outcome: str) -> None:
    latencies = [QueryLatency("Champions", 1, p95, 100), QueryLatency("Positions", 1, 2, 3)]
    paragraphs = report.queries_chapter(DashboardQueries("full", 2, documents, 40, latencies))
    assert f"Documents in the hour: {outcome}." in list(paragraphs)


def test_results_without_a_measure_of_later_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    assert read_results(tmp_path).queries is None


def test_report_has_burst_memory_and_machine(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    page = (tmp_path / report.FILE).read_text()
    assert "| longest of 2 batches | 4.2 |" in page
    assert "| worker and executor | 2,000 MiB | 2,000 MiB | 2,000 MiB |" in page
    assert str(MACHINE) in page


def test_report_has_cores_by_service_the_busiest_first(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    page = (tmp_path / report.FILE).read_text()
    assert "| spark-job | 0.200 |\n| kafka | 0.020 |\n| **all, cores** | 0.23 (0.11-0.52) |" in page
    assert "| **all, memory, MiB** | 800 |\n| … minutes from the stack's start to this reading | 62 |" in page


def test_report_has_the_goals_of_freshness_drain_and_memory(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    page = (tmp_path / report.FILE).read_text()
    assert "p50 ≤ 0.9 s and p99 ≤ 1.7 s at 2 matches a second; p50 ≤ 1.2 s and p99 ≤ 2.2 s at 50" in page
    assert "27,000 documents/s compact, 20,000 documents/s full; 14,000 compact in the first seconds" in page
    assert "3.2 GiB (3,277 MiB) after 60 minutes at 2 matches a second" in page


def test_report_has_the_first_seconds_of_a_new_stack(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    assert "| the job, its first 40 s on a new stack | 10,000 |" in (tmp_path / report.FILE).read_text()


def test_first_seconds_of_a_warm_stack_are_labelled_with_its_documents() -> None:
    rounds = [Throughput(60_000, 40, 30_000), Throughput(60_000, 3, 30_000)]
    drained = [DrainRound(each, each.seconds) for each in rounds]
    *_, table, _ = report.drain_chapter([Drain("full", 6_000, drained, first_seconds(rounds, 1_500_000))], None)
    assert "| the job, its first 40 s after 1,500,000 documents | 1,500 |" in table


def test_report_has_the_median_of_each_start(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    page = (tmp_path / report.FILE).read_text()
    assert "| from `make up` until a search finds a document | 32.0 (31.0-33.0) | 40 |" in page
    assert "| from the kill of the driver until a search finds a later match | 10.2 (9.0-11.5) | 12 |" in page
    assert "| `make down` | 13.0 (12.0-14.0) | 15 |" in page


def test_report_has_a_plot_of_each_measure(results: Results, tmp_path: Path) -> None:
    report.write_report(tmp_path, results)
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == ["drain", "freshness", "memory", "scaling"]


def test_report_leaves_out_measures_that_were_not_taken(tmp_path: Path) -> None:
    report.write_report(tmp_path, Results())
    assert (tmp_path / report.FILE).read_text().startswith("# Benchmarks\n")
    assert not list(tmp_path.glob("*.svg"))
