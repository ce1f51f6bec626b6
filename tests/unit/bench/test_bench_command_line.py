"""The command line of the benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import pytest

from bench.__main__ import DEFAULT_MEASURES, MEASURES, RESULTS, STACK_MEASURES, parse_arguments
from bench.profiles import FULL, QUICK
from bench.results import Results, Section


def test_defaults_are_the_full_profile_and_all_but_the_memory_measure() -> None:
    options = parse_arguments([])
    assert options.measures == DEFAULT_MEASURES
    assert set(MEASURES) - set(DEFAULT_MEASURES) == {"memory"}
    assert options.profile == FULL
    assert options.folder == RESULTS
    assert options.stack is None


@pytest.mark.parametrize("name", STACK_MEASURES)
def test_results_have_a_section_for_the_figures_of_each_measure(name: str) -> None:
    figures: Any = get_type_hints(STACK_MEASURES[name])["return"]
    assert get_type_hints(Results)[name] == Section[figures] | None


def test_options_change_the_profile() -> None:
    options = parse_arguments(
        ["drain", "--quick", "--stack", "dev", "--sizes", "compact", "--rounds", "5", "--results", "/tmp/results"]
    )
    assert options.measures == ("drain",)
    assert options.stack == "dev"
    assert (options.profile.sizes, options.profile.rounds) == (("compact",), 5)
    assert options.profile.backlog == QUICK.backlog
    assert options.folder == Path("/tmp/results")


def test_minutes_are_those_of_the_memory_measure_and_of_rest_with_its_windows() -> None:
    profile = parse_arguments(["rest", "--minutes", "60"]).profile
    assert profile.memory_minutes == 60
    assert profile.rest_warm_up_seconds + profile.rest_windows * profile.rest_window_seconds == 3600
    assert parse_arguments(["rest", "--minutes", "1"]).profile.rest_warm_up_seconds == FULL.rest_warm_up_seconds


def test_quick_results_do_not_overwrite_the_full_ones() -> None:
    assert parse_arguments(["--quick"]).folder == RESULTS / "quick"


def test_report_alone_takes_no_measure() -> None:
    assert parse_arguments(["report"]).measures == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drian"], "unknown measure drian"),
        (["drain", "report"], "unknown measure report"),
        (["scaling", "--stack", "dev"], "leave out --stack"),
        (["--stack", "dev"], "leave out --stack"),
        (["start", "--stack", "dev"], "start deploys and destroys a stack of its own"),
    ],
)
def test_invalid_command_line_is_rejected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err
