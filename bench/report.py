"""The report: a page of tables in Markdown, and a plot for each measure, from the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from bench import alternatives, ceilings, plots
from bench.alternatives import Alternative
from bench.burst import RATE, STEADY_SECONDS, Burst
from bench.drain import Drain
from bench.freshness import LOOK_SECONDS, Freshness
from bench.memory import Memory
from bench.results import FILE as RESULTS_FILE
from bench.results import Results, Section
from bench.scaling import Growth
from harness.load import SPREAD_SECONDS

FILE = "README.md"
GOAL_FRESHNESS = (2, 1.5, 2.5)
"""At so many matches a second: p50, p99 in seconds."""
GOAL_DRAIN = {"compact": 25_000, "full": 9_000}
GOAL_OF_CEILING = 0.85
GOAL_RATIO = {
    ("compact", "engineer"): 1.5,
    ("full", "engineer"): 1.2,
    ("compact", "one_by_one"): 10,
    ("full", "one_by_one"): 10,
}
LACKS = {
    "engineer": (
        "statistics in windows; dead letters (a message that cannot be read, or a document that is refused, ends it); "
        "a place to go on from after a crash; metrics; more than one process"
    ),
    "guide": "all of that, and it waits for Elasticsearch while it could read on",
    "one_by_one": "all of that",
}

Lines = Iterator[str]


def write(folder: Path, results: Results) -> None:
    """Write the page and its plots."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        "# Benchmarks",
        f"Made by `make bench` from [{RESULTS_FILE}]({RESULTS_FILE}); do not edit. A figure that was taken more than "
        "once is the median, with the lowest and the highest in brackets. The stack, and what sends to it and watches "
        "it, share one machine.",
    ]
    chapters: list[tuple[Section[Any] | None, Callable[[Any, Results], Lines]]] = [
        (results.freshness, freshness_chapter),
        (results.drain, drain_chapter),
        (results.alternatives, alternatives_chapter),
        (results.growth, growth_chapter),
        (results.burst, burst_chapter),
        (results.memory, memory_chapter),
    ]
    for section, chapter in chapters:
        if section is not None:
            title, *rest = chapter(section.figures, results)
            parts += [f"## {title}", f"Taken at {section.taken_at}, commit {section.commit}: {section.machine}.", *rest]
    plots.draw(folder, results)
    (folder / FILE).write_text("\n\n".join(parts) + "\n")


def freshness_chapter(figures: Sequence[Freshness], _results: Results) -> Lines:
    rate, p50, p99 = GOAL_FRESHNESS
    yield "Freshness: from a message in Kafka to its documents in the answer of a search"
    yield (
        "From Kafka's timestamp of a match to the first search that finds all of its ten documents; a search every "
        f"{LOOK_SECONDS * 1000:.0f} ms, by which a figure can be too high. Index refresh of 1 s. Goal at {rate} "
        f"matches a second: p50 ≤ {p50} s, p99 ≤ {p99} s."
    )
    yield table(
        ["matches", "a second", "matches measured", "p50", "p95", "p99", "highest", "p50 of each round"],
        [
            [
                each.size,
                str(each.rate),
                f"{each.matches:,}",
                *(f"{each.percentile(number):.2f} s" for number in (50, 95, 99)),
                f"{each.highest:.2f} s",
                ", ".join(f"{first:.2f}" for first, _, _ in each.rounds),
            ]
            for each in figures
        ],
    )
    yield "![Freshness](freshness.svg)"


def drain_chapter(figures: Sequence[Drain], results: Results) -> Lines:
    yield "Drain: a backlog, beside what the machine can do at most"
    yield (
        "The job takes a backlog that came while its driver was paused, after rounds of the same to get warm; the "
        f"statistics run beside. The games of a backlog ended within {SPREAD_SECONDS} s, so that none is late for "
        "them. The ceilings are taken with the job away and its cores free"
        + (f", at {results.ceilings.taken_at}, commit {results.ceilings.commit}." if results.ceilings else ".")
    )
    yield "\n".join(
        [
            "- *Sustained*: documents a second between a tenth and nine tenths of the documents.",
            "- *Whole*: all documents over the time from the job's going on until a search finds the last.",
            "- *With statistics*: all documents over the time until the statistics have the whole backlog too.",
            "- *Added up*: ceilings of stages that follow each other on the same cores, 1/(Σ 1/ceiling): of reading "
            "and parsing, and of raw `_bulk`. Making the documents' JSON is in neither.",
            f"- Goals: {', '.join(f'{goal:,} documents/s {size}' for size, goal in GOAL_DRAIN.items())}; "
            f"{GOAL_OF_CEILING} of the ceilings added up.",
        ]
    )
    by_size = {each.size: each for each in results.ceilings.figures} if results.ceilings else {}
    rows = []
    for each in figures:
        speeds = [round_.speed for round_ in each.rounds]
        with_statistics = [round_.speed.documents / round_.caught_up for round_ in each.rounds]
        rows += [
            [f"**{each.size}**, {each.messages:,} matches", ""],
            ["the job, sustained", spread([speed.sustained for speed in speeds])],
            ["the job, whole", spread([speed.whole for speed in speeds])],
            ["the job, with statistics", spread(with_statistics)],
        ]
        if ceiling := by_size.get(each.size):
            rows += [
                *([f"ceiling: {ceilings.STAGES[stage]}", spread(rounds)] for stage, rounds in ceiling.stages.items()),
                ["ceilings of parsing and `_bulk`, added up", f"{ceiling.added_up():,.0f}"],
                ["**the job, sustained, of that**", f"**{each.sustained() / ceiling.added_up():.2f}**"],
            ]
    yield table(["", "documents/s"], rows)
    yield "![Drain](drain.svg)"


def alternatives_chapter(figures: Sequence[Alternative], results: Results) -> Lines:
    yield "Beside the alternatives"
    yield (
        "The same backlog, taken by a plain consumer in a container of its own beside the stack, with the job away, to "
        "an index with the same mapping. Their documents are compared with the job's, field by field. *Whole* is by "
        "the consumer's own clock, without the start of its process. Compared is sustained speed. *Ratio*: the job's "
        "speed divided by theirs; below 1 the simple consumer is the faster one."
    )
    jobs = {each.size: each for each in results.drain.figures} if results.drain else {}
    rows = []
    for each in figures:
        speeds = [round_.sustained for round_ in each.rounds]
        job = jobs.get(each.size)
        ratio = job.sustained() / median(speeds) if job else None
        goal = GOAL_RATIO.get((each.size, each.way))
        rows.append(
            [
                each.size,
                f"{alternatives.WAYS[each.way]}",
                f"{each.messages:,}" + (", a part" if job and each.messages < job.messages else ""),
                spread(speeds),
                spread([round_.whole for round_ in each.rounds]),
                verdict(ratio),
                f"≥ {goal:g}" if goal else "",
                LACKS[each.way],
            ]
        )
    yield table(
        ["matches", "consumer", "taken", "documents/s sustained", "whole", "ratio", "goal", "what it lacks"], rows
    )


def verdict(ratio: float | None) -> str:
    """The job's speed by theirs, and who wins where it is not the job."""
    if ratio is None:
        return "drain not measured"
    return f"**{ratio:.2f}**" + (": the simple consumer wins" if ratio < 1 else "")


def growth_chapter(figures: Sequence[Growth], _results: Results) -> Lines:
    yield "Growth: partitions, parallelism and the length of a backlog"
    yield (
        "Compact matches; the job made anew for each number of partitions, of the topic and of the statistics, and "
        "warmed up. Time per message until all is found and the statistics have it; it should not rise with the "
        "backlog. There is one worker, so more partitions than it has cores cannot be faster."
    )
    yield table(
        ["partitions", "backlog", "messages", "ms a message", "documents/s sustained"],
        [
            [
                str(each.partitions),
                f"×{each.multiple}",
                f"{each.messages:,}",
                f"{each.milliseconds_a_message:.3f}",
                f"{each.round.speed.sustained:,.0f}",
            ]
            for each in figures
        ],
    )
    yield "![Growth](growth.svg)"


def burst_chapter(figures: Burst, _results: Results) -> Lines:
    yield f"A burst of {figures.messages:,} {figures.size} matches"
    yield (
        f"Sent at once into the running stream. No batch is to take longer than {figures.bound:g} s "
        "(`batch.max_seconds`): how many messages a batch takes follows from how long the last ones took."
    )
    yield table(
        ["", "seconds"],
        [
            [f"longest of its {len(figures.batches)} batches", f"{max(figures.batches):.1f}"],
            ["from its first message until nothing is left", f"{figures.seconds:.1f}"],
            [f"freshness before, p50 at {RATE} matches a second", f"{figures.before:.2f}"],
            [f"… in the first {STEADY_SECONDS} s after it", f"{figures.after:.2f}"],
            [f"… in the next {STEADY_SECONDS} s", f"{figures.later:.2f}"],
        ],
    )


def memory_chapter(figures: Memory, _results: Results) -> Lines:
    looks = [look for look in figures.looks if look.minute > 0]
    third = max(1, len(looks) // 3)
    yield f"Memory over {looks[-1].minute:.0f} minutes"
    yield (
        f"At {figures.rate} {figures.size} matches a second. What the processes hold in the containers of the driver, "
        "and of the worker with the executor in it: medians of the first, the second and the last third of the run. It "
        f"begins {max(0, ceil(-figures.looks[0].minute))} minutes after the first match, when the statistics' state "
        "no longer grows: matches leave it after twice the watermark's delay."
    )
    thirds = (looks[:third], looks[third:-third], looks[-third:])
    yield table(
        ["", "first third", "second third", "last third"],
        [
            [
                name,
                *(
                    f"{median(getattr(look, field) for look in part):,.{digits}f} {unit}" if part else "–"
                    for part in thirds
                ),
            ]
            for name, field, digits, unit in (
                ("driver", "driver", 0, "MiB"),
                ("worker and executor", "executor", 0, "MiB"),
                ("statistics' state", "state", 1, "MiB"),
                ("statistics' state", "state_rows", 0, "rows"),
                ("freshness, p50", "freshness", 2, "s"),
            )
        ],
    )
    yield "![Memory](memory.svg)"


def spread(values: Sequence[float]) -> str:
    """The median, and lowest and highest where there are several."""
    middle = f"{median(values):,.0f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.0f}-{max(values):,.0f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
