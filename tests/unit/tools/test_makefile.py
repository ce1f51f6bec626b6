"""The Makefile's checks of targets and variables, and what it hands to the tools. `make -n` prints and runs nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "STACK")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("down", "other"), "unknown target other: "),
        (("-j4", "-k", "down", "other"), "unknown target other: "),
        (("down", "stack=other"), "unknown variable stack: "),
        (("down", "STACK=other", "SECURITY=strict"), "unknown variable SECURITY: "),
        (("down", "STACK="), "STACK is empty"),
        (("down", "STACK=organization/lolstack/dev"), "STACK has a /: write the short name, dev"),
    ],
)
def test_stray_target_and_misspelt_variable_are_refused_before_anything_runs(
    arguments: tuple[str, ...], problem: str
) -> None:
    """`make down other` would destroy the stack dev, and then fail."""
    run = make("-n", *arguments)
    assert run.returncode == 2
    assert problem in run.stderr
    assert run.stdout == ""


def test_stack_is_selected_on_the_command_line_or_in_the_environment_also_for_recursive_make() -> None:
    for run in (make("-n", "-j4", "reset", "STACK=other"), make("-n", "reset", STACK="other", SECURITY="strict")):
        assert run.returncode == 0, run.stderr
        assert "tools.deploy destroy --stack 'other'" in run.stdout
        assert "tools.deploy up --stack 'other'" in run.stdout
        assert "'dev'" not in run.stdout
    assert "tools.deploy destroy --stack 'dev'" in make("-n", "down").stdout
    assert make("-n", "check").returncode == 0, "the targets of the recursive make"


def test_shell_completion_still_lists_the_targets() -> None:
    """bash-completion, zsh and fish ask with these arguments."""
    for arguments in (("-npq", "__BASH_MAKE_COMPLETION__=1", ".DEFAULT"), ("-nsp", ".PHONY"), ("-pRrq", ":")):
        assert "\ncredentials:" in make(*arguments).stdout


@pytest.mark.parametrize("value", ["Summoner's Rift Clash", "a  b", '"$(id)"', "`id`"])
def test_values_reach_the_tools_as_they_are(value: str) -> None:
    escaped = value.replace("$", "$$")  # make expands variables on the command line
    for target, variable, option in (
        ("report", "QUEUE", "--queue"),
        ("dlq", "REPLAY", "--replay"),
        ("backfill", "FROM", "--from"),
        ("status", "STACK", "--stack"),
        ("verify", "STACK", "--stack"),
    ):
        printed = make("-n", target, f"{variable}={escaped}").stdout.strip().replace("\\\n", "")
        words = shlex.split(printed.splitlines()[-1])
        assert words[words.index(option) + 1] == value


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("report",), {"HOURS": "24", "FROM": "2026-11-24T06:00Z", "TO": "2026-11-25T06:00Z", "QUEUE": "420"}),
        (("dlq",), {"SHOW": "0:17", "REPLAY": "all"}),
        (("-e", "dlq"), {"REPLAY": "all"}),
        (("backfill", "FROM=2026-11-24T06:00Z"), {"TO": "2026-11-25T06:00Z", "RATE": "200"}),
        (("logs",), {"SERVICE": "kafka"}),
        (("bench-long",), {"MINUTES": "1"}),
    ],
)
def test_only_the_stack_is_selected_in_the_environment(arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    """REPLAY=all of another program would send all dead letters again."""
    for value in variables.values():
        assert value not in make("-n", *arguments, **variables).stdout
    assert make("-n", *arguments, **variables).stdout == make("-n", *arguments).stdout


@pytest.mark.parametrize("stack", ["dev", "other"])
def test_logs_accepts_a_service_name_with_an_apostrophe(tmp_path: Path, stack: str) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    variables = ("SERVICE=it's", f"STACK={stack}")
    run = make("-s", "logs", *variables, PATH=f"{tmp_path}:{os.environ['PATH']}", DOCKER_HOST="unix:///nowhere")
    assert run.stdout == f"the stack {stack} has no container of it's: make status STACK={stack}\n", run.stderr


def test_variables_of_python_and_bash_do_not_reach_the_tools(tmp_path: Path) -> None:
    """PYTHONPATH would import other modules, and in POSIX mode Bash does not read tools/env.sh."""
    (tmp_path / "extra.mk").write_text("lint:\n\t@env\n")
    foreign = dict.fromkeys(("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "POSIXLY_CORRECT"), "1")
    run = make("-s", "-f", "Makefile", "-f", str(tmp_path / "extra.mk"), "lint", PULUMI_PYTHON_CMD="", **foreign)
    found = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    assert not foreign.keys() & found.keys()
    assert found["PULUMI_PYTHON_CMD"] == f"{ROOT}/.venv/bin/python"


def test_new_requirements_are_installed_before_a_tool_runs() -> None:
    """After `git pull`: the tool would end with ModuleNotFoundError."""
    assert make("-n", "-W", "requirements.txt", "status").stdout.splitlines()[0] == "tools/setup.sh"
