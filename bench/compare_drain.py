"""Compares the drain of two running stacks, in turn: `python -m bench.compare_drain one other`.

For two commits, deploy each stack from its own checkout; for two settings, both from one. A machine's speed varies by
half within minutes, so the stacks drain one backlog each in every round, and the ratio of a round counts. Both need
`generatorEnabled false`. Their archives go on in the background, at their rate limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from statistics import median
from typing import get_args

from bench.drain import drain_backlog
from bench.measured_stack import FAILURES, MeasuredStack
from bench.profiles import FULL
from bench.progress import print_progress
from generator.match_factory import MatchSize
from harness.stack import Stack


def compare(stacks: Sequence[MeasuredStack], size: MatchSize, warm_up_rounds: int, rounds: int) -> list[float]:
    """The second stack's sustained throughput, divided by the first one's: a ratio for each round."""
    ratios = []
    for number in range(warm_up_rounds + rounds):
        order = (0, 1) if number % 2 else (1, 0)
        rates = {each: drain_backlog(stacks[each], size, FULL.backlog[size])[1].throughput.sustained for each in order}
        if number >= warm_up_rounds:
            ratios.append(rates[1] / rates[0])
            print_progress(f"round {len(ratios)} of {rounds}: ratio {ratios[-1]:.2f}")
    return ratios


def main() -> int:
    """Print the ratio of the two stacks. Exit code 1 if a stack cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare_drain", description=__doc__)
    parser.add_argument("stacks", nargs=2, metavar="STACK")
    parser.add_argument("--size", choices=get_args(MatchSize), default="compact")
    parser.add_argument("--warm-up-rounds", type=int, default=FULL.warm_up_rounds)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    try:
        stacks = [MeasuredStack(Stack.deployed(name)) for name in options.stacks]
        ratios = compare(stacks, options.size, options.warm_up_rounds, options.rounds)
    except FAILURES as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    one, other = options.stacks
    print(f"{other} / {one}: median {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
