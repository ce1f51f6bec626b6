"""The Makefile's checks of targets and variables, and what it hands to the tools. `make -n` prints and runs nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.names import ROOT


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


def test_make_alone_lists_the_targets_by_group() -> None:
    listed = make()
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    assert lines[0] == "Usage: make TARGET [STACK=dev]"
    for target, group in (("up", "Deploy"), ("test", "Test")):
        described = next(line for line in lines if line.startswith(f"  {target} "))
        assert group in lines[: lines.index(described)]
        assert len(described.split()) > 3, "the target has no help text"


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
        (("logs",), {"SERVICE": "kafka", "TAIL": "4711"}),
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


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        (
            ("SERVICE=spark-worker",),
            ["--tail 1000 lolstack-dev-spark-worker", "--tail 1000 lolstack-dev-spark-worker-2"],
        ),
        (("SERVICE=kafka", "TAIL=all"), ["--tail all lolstack-dev-kafka"]),
        (("TAIL=5",), [f"--tail 5 lolstack-dev-{name}" for name in ("kafka", "spark-worker", "spark-worker-2")]),
    ],
)
def test_logs_are_of_all_workers_and_as_long_as_requested(
    tmp_path: Path, variables: tuple[str, ...], printed: list[str]
) -> None:
    names = "lolstack-dev-kafka lolstack-dev-spark-worker lolstack-dev-spark-worker-2"
    docker = f"""
        pattern=.
        for argument; do case $argument in name=*) pattern=${{argument#name=}} ;; esac; done
        case $1 in ps) printf '%s\\n' {names} | grep -E "$pattern" ;; logs) shift; echo "$@" ;; esac"""
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{docker}\n")
    (tmp_path / "docker").chmod(0o755)
    run = make("-s", "logs", *variables, PATH=f"{tmp_path}:{os.environ['PATH']}", DOCKER_HOST="unix:///nowhere")
    assert [line for line in run.stdout.splitlines() if not line.startswith("===")] == printed, run.stderr


@pytest.mark.parametrize("tail", ["1k", "-5", "abc"])
def test_number_of_log_lines_that_is_none_is_refused(tail: str) -> None:
    """Some engines print the whole log then."""
    run = make("-s", "logs", f"TAIL={tail}", DOCKER_HOST="unix:///nowhere")
    assert run.stdout == f"TAIL={tail}: write a number of lines, or all\n", run.stderr


def test_variables_of_python_and_bash_do_not_reach_the_tools(tmp_path: Path) -> None:
    """PYTHONPATH would import other modules, and in POSIX mode Bash does not read tools/env.sh."""
    (tmp_path / "extra.mk").write_text("lint:\n\t@env\n")
    names = ("HOME", "PATH", "SAFEPATH", "OPTIMIZE", "WARNINGS", "DEVMODE", "INSPECT", "PLATLIBDIR")
    foreign = dict.fromkeys((*(f"PYTHON{name}" for name in names), "POSIXLY_CORRECT"), "1")
    kept = {"PULUMI_PYTHON_CMD": "", "PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": "1"}
    run = make("-s", "-f", "Makefile", "-f", str(tmp_path / "extra.mk"), "lint", **foreign, **kept)
    found = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    assert not foreign.keys() & found.keys()
    assert (found["PYTHONIOENCODING"], found["PYTHONUNBUFFERED"]) == ("ascii", "1")
    assert found["PULUMI_PYTHON_CMD"] == f"{ROOT}/.venv/bin/python"


def run_with_stubs(folder: Path, *arguments: str, **commands: str) -> subprocess.CompletedProcess[str]:
    """Run make where these Bash scripts stand in for commands, and set-up does nothing.

    `meets NAME OTHER SECONDS` is whether the script OTHER runs within this time.
    """
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "tools").mkdir()
    (folder / "tools/env.sh").write_text(f"PATH={folder}:$PATH\n")
    os.mkfifo(folder / "fifo")
    loop = 'for each in $(seq "$3"0); do [ ! -e "$2" ] || return 0; read -t 0.1 <>fifo; done'
    meets = f'meets() {{ touch "$1"; {loop}; false; }}'
    for name, script in commands.items() | {("tools/setup.sh", "")}:
        (folder / name).write_text(f"#!/bin/bash\n{meets}\n{script}\n")
        (folder / name).chmod(0o755)
    return make("-s", "-C", str(folder), *arguments)


def test_targets_of_one_command_run_one_after_the_other(tmp_path: Path) -> None:
    """Also with MAKEFLAGS=-j4: `make down up` would destroy and deploy at the same time."""
    script = "case $* in *destroy*) ! meets down up 1 ;; *) touch up ;; esac"
    assert run_with_stubs(tmp_path, "-j4", "down", "up", python=script).returncode == 0
    assert (tmp_path / "up").exists()


@pytest.mark.parametrize("jobs", ["-j1", "-j4"])
def test_checks_run_in_parallel(tmp_path: Path, jobs: str) -> None:
    ruff, mypy = "[ $1 = format ] || meets linter types 30", "meets types linter 30"
    done = run_with_stubs(tmp_path, jobs, "check", ruff=ruff, mypy=mypy, pytest="", python=f"echo {tmp_path}/cache")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("interpreter", "sets_up"), [("python3.12", False), ("python3.13", True), (None, True)], ids=str
)
def test_packages_are_installed_for_the_new_version_after_an_upgrade_of_python(
    tmp_path: Path, interpreter: str | None, sets_up: bool
) -> None:
    """The environment's interpreter is a link to the system's, which is of another version then, or gone."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / ".venv/lib/python3.12/site-packages").mkdir(parents=True)
    (tmp_path / ".venv/.lolstack").touch()
    (tmp_path / ".venv/bin").mkdir()
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "python3")
    if interpreter:
        (tmp_path / interpreter).touch()
        (tmp_path / "python3").symlink_to(interpreter)
    for target in ("status", "watch", "report", "credentials", "dlq", "backfill"):
        run = make("-n", "-C", str(tmp_path), target)
        assert run.returncode == 0, run.stderr
        assert ("tools/setup.sh" in run.stdout) is sets_up


def test_new_requirements_are_installed_before_a_tool_runs() -> None:
    """After `git pull`: the tool would end with ModuleNotFoundError."""
    assert make("-n", "-W", "requirements.txt", "status").stdout.splitlines()[0] == "tools/setup.sh"
