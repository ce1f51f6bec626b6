"""Command line of the benchmarks, `python -m bench [MEASURE ...]`: writes results.json and the report.

Exit codes: 0 when everything was measured, 1 when something could not be.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from pulumi.automation import CommandError

from bench import report
from bench.alternatives import measure_alternatives
from bench.bench_stack import bench_stack
from bench.burst import measure_burst
from bench.ceilings import measure_ceilings
from bench.dashboard_queries import measure_dashboard_queries
from bench.drain import measure_drain
from bench.freshness import measure_freshness
from bench.measured_stack import FAILURES, MeasuredStack
from bench.memory import measure_memory
from bench.profiles import FULL, QUICK, Profile
from bench.progress import print_progress
from bench.rest import measure_rest
from bench.results import Results, current_commit, new_section, read_results, write_results
from bench.scaling import measure_scaling
from bench.start import measure_start
from harness.stack import Stack
from infra.clients.docker_engine import connect

STACK_MEASURES: dict[str, Callable[[MeasuredStack, Profile], object]] = {
    "freshness": measure_freshness,
    "queries": measure_dashboard_queries,
    "rest": measure_rest,
    "drain": measure_drain,
    "burst": measure_burst,
    "ceilings": measure_ceilings,
    "alternatives": measure_alternatives,
    "scaling": measure_scaling,
    "memory": measure_memory,
}
"""Measures of the benchmarks' stack, or of a running one, by their field in Results."""
MEASURES = ("start", *STACK_MEASURES)
# `start` has a stack of its own, before the others' one. The queries come first there: after the drain, or the fill of
# `rest`, the dashboard's hour has more documents than their latency goal applies to. The drain warms the job's JVMs up,
# so freshness and burst follow it; the measures after those restart the job.
DEFAULT_MEASURES = (
    *("start", "queries", "rest", "drain", "freshness", "burst"),
    *("ceilings", "alternatives", "scaling"),
)
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """The parsed command line."""

    measures: tuple[str, ...]
    """Empty: only write the report, from existing results."""
    stack: str | None
    """A running stack to measure; None: the benchmarks' own."""
    profile: Profile
    folder: Path
    """Where results.json and the report are."""


def main() -> int:
    """Take the measures of the command line and write the report."""
    options = parse_arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # raises SystemExit, so that the stack is destroyed
    try:
        results = read_results(options.folder)
        if options.measures:
            current_commit()  # fails here rather than after an hour
            if "start" in options.measures:
                print_progress("measuring start")
                results.start = new_section(connect(), measure_start(options.profile))
                write_results(options.folder, results)
            others = [measure for measure in options.measures if measure != "start"]
            if others:
                with (
                    nullcontext(MeasuredStack(Stack.deployed(options.stack)))
                    if options.stack
                    else bench_stack() as stack
                ):
                    for measure in others:
                        print_progress(f"measuring {measure}")
                        take_measure(measure, stack, options.profile, results)
                        write_results(options.folder, results)
        report.write_report(options.folder, results)
    except FAILURES as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    except CommandError:
        print("not measured: the stack could not be deployed; Pulumi's output above has the reason", file=sys.stderr)
        return 1
    print_progress(f"report: {options.folder / report.FILE}")
    return 0


def take_measure(measure: str, stack: MeasuredStack, profile: Profile, results: Results) -> None:
    """Take one measure and put its figures into `results`."""
    engine = stack.deployment.engine
    setattr(results, measure, new_section(engine, STACK_MEASURES[measure](stack, profile)))


def parse_arguments(arguments: Sequence[str]) -> Options:
    """Parse the command line. Exits with code 2 and a message if it is invalid."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of the stack.")
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help=f"{', '.join(MEASURES)}; or report alone: rewrite the report from the results "
        f"(default: {' '.join(DEFAULT_MEASURES)})",
    )
    parser.add_argument("--stack", help="measure this running stack and leave its deployment unchanged")
    parser.add_argument("--quick", action="store_true", help="a smoke test with small loads; its figures mean nothing")
    parser.add_argument("--sizes", nargs="+", choices=["compact", "full"], help="match sizes (default: both)")
    parser.add_argument("--rounds", type=int, help="how often each figure is measured")
    parser.add_argument(
        "--minutes",
        type=float,
        help="length of the memory measure; for rest, how long its first load runs until the stack's memory is read",
    )
    parser.add_argument("--results", type=Path, help="folder of results.json and the report")
    parsed = parser.parse_args(arguments)

    measures: tuple[str, ...]
    if parsed.measures == ["report"]:
        measures = ()
    else:
        unknown = [name for name in parsed.measures if name not in MEASURES]
        if unknown:
            parser.error(f"unknown measure {unknown[0]}: choose from {', '.join(MEASURES)}, or report alone")
        measures = tuple(parsed.measures) or DEFAULT_MEASURES
    if parsed.stack and "start" in measures:
        parser.error("start deploys and destroys a stack of its own: leave out --stack, or start")
    if parsed.stack and "scaling" in measures:
        parser.error("scaling redeploys the job for each number of partitions: leave out --stack, or scaling")
    profile = QUICK if parsed.quick else FULL
    warm_up = 60 * (parsed.minutes or 0) - profile.rest_windows * profile.rest_window_seconds
    return Options(
        measures=measures,
        stack=parsed.stack,
        profile=replace(
            profile,
            sizes=tuple(parsed.sizes or profile.sizes),
            rounds=parsed.rounds or profile.rounds,
            memory_minutes=parsed.minutes or profile.memory_minutes,
            rest_warm_up_seconds=max(profile.rest_warm_up_seconds, warm_up),
        ),
        folder=parsed.results or (RESULTS / "quick" if parsed.quick else RESULTS),
    )


if __name__ == "__main__":
    sys.exit(main())
