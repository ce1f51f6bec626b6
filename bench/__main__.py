"""The command line: `python -m bench [MEASURE ...]`. Every measure's figures go into one file of results, and a report
with plots is made of all that are there.

Exit codes: 0 when everything was measured, 1 when something could not be.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pulumi.automation import CommandError

from bench import alternatives, burst, ceilings, drain, freshness, memory, report, results, scaling
from bench.bench_stack import own_stack
from bench.measured_stack import Target
from bench.profiles import FULL, QUICK, Plan
from bench.progress import BenchError, say
from harness.stack import Stack

MEASURES: dict[str, Callable[[Target, Plan], Any]] = {
    "freshness": freshness.measure,
    "drain": drain.measure,
    "burst": burst.measure,
    "ceilings": ceilings.measure,
    "alternatives": alternatives.measure,
    "growth": scaling.measure,
    "memory": memory.measure,
}
# Freshness and burst after the drain, by which the job's JVMs have compiled what they run; the others start it anew.
USUAL = ["drain", "freshness", "burst", "ceilings", "alternatives", "growth"]
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Take the measures that are asked for."""
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # not without clearing up
    plan = QUICK if options.quick else FULL
    plan = replace(
        plan,
        sizes=tuple(options.sizes or plan.sizes),
        rounds=options.rounds or plan.rounds,
        memory_minutes=options.minutes or plan.memory_minutes,
    )
    folder = options.results or (RESULTS / "quick" if options.quick else RESULTS)
    try:
        if options.measures != ["report"]:
            results.checkout()  # before anything that takes long
            with nullcontext(Target(Stack(options.stack))) if options.stack else own_stack() as target:
                take(target, plan, options.measures or USUAL, folder)
        report.write(folder, results.read(folder))
    except (BenchError, AssertionError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    except CommandError:
        print("not measured: the stack could not be deployed; what Pulumi says above has the reason", file=sys.stderr)
        return 1
    say(f"report: {folder / report.FILE}")
    return 0


def take(target: Target, plan: Plan, measures: list[str], folder: Path) -> None:
    """Take the measures one after the other, each kept as soon as it is there."""
    for name in measures:
        say(f"measuring {name}")
        figures = MEASURES[name](target, plan)
        found = results.read(folder)
        setattr(found, name, results.section(target.stack.engine, figures))
        results.write(folder, found)


def parsed() -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help=f"{', '.join(MEASURES)}, or report alone: make it again from the results (default: {' '.join(USUAL)})",
    )
    parser.add_argument("--stack", help="measure this running stack and change nothing in its deployment")
    parser.add_argument("--quick", action="store_true", help="small figures that mean nothing, to see that it works")
    parser.add_argument("--sizes", nargs="+", choices=["compact", "full"], help="of the matches (default: both)")
    parser.add_argument("--rounds", type=int, help="how often each figure is taken")
    parser.add_argument("--minutes", type=float, help="of the memory's run")
    parser.add_argument("--results", type=Path, help="folder of the results and the report")
    options = parser.parse_args()
    unknown = [name for name in options.measures if name not in MEASURES and options.measures != ["report"]]
    if unknown:
        parser.error(f"there is no measure {unknown[0]}: choose from {', '.join(MEASURES)}, or report alone")
    if options.stack and "growth" in (options.measures or USUAL):
        parser.error("growth deploys the job anew for each number of partitions: leave out --stack, or growth")
    return options


if __name__ == "__main__":
    sys.exit(main())
