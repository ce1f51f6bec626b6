"""How the tools run: Ctrl-C, and an output that is not in UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from infra.names import ROOT

TOOLS = ["status", "dlq", "report", "backfill", "credentials", "deploy", "repair", "kibana_export"]


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("statement", "exit_code"), [("return 3", 3), ("raise KeyboardInterrupt", 130)])
def test_ctrl_c_is_exit_code_130_without_a_traceback(statement: str, exit_code: int) -> None:
    done = run(f"from tools.command_line import run\ndef main():\n  {statement}\nrun(main)")
    assert (done.returncode, done.stderr) == (exit_code, "")


def test_closed_pipe_ends_a_tool_without_a_traceback() -> None:
    """`make status | head -1`: exit code 141, as of a shell's own commands."""
    for statement in ("print('line\\n' * 100_000)", "print('line')"):
        program = f"from tools.command_line import run\ndef main():\n  input()\n  {statement}\n  return 0\nrun(main)"
        with subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
        ) as tool:
            assert tool.stdin
            assert tool.stdout
            assert tool.stderr
            tool.stdout.close()
            tool.stdin.write("\n")
            tool.stdin.close()
            assert tool.stderr.read() == ""
        assert tool.returncode == 141


def test_reader_that_ends_is_the_same_exit_code_with_a_console() -> None:
    """With rich's own console it would be 1, that of a failed check."""
    program = (
        "from tools.command_line import run\nfrom tools.console import PipedConsole\n"
        "def main():\n  for _ in range(100_000): PipedConsole().print('line')\n  return 0\nrun(main)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as tool:
        assert tool.stdout
        assert tool.stderr
        tool.stdout.close()
        assert tool.stderr.read() == ""
    assert tool.returncode == 141


def test_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        program = "from tools.command_line import run\ndef main():\n  print('line')\n  return 0\nrun(main)"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=full, stderr=PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "-c: [Errno 28] No space left on device\n")


def test_terminal_without_a_width_is_printed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    done = run(
        "from tools.command_line import run\nfrom tools.console import PipedConsole\n"
        "def main():\n  PipedConsole().print('line')\n  return 0\nrun(main)"
    )
    assert (done.stdout, done.stderr) == ("line\n", "")


def run_tool(tool: str, stack: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tools.{tool}", *(["up"] if tool == "deploy" else []), "--stack", stack]
    nowhere = {"PULUMI_BACKEND_URL": "file:///nowhere", "DOCKER_HOST": "unix:///nowhere"}
    return subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", TOOLS)
def test_qualified_name_of_a_stack_is_refused(tool: str) -> None:
    """Pulumi accepts it, but containers and files have the short name."""
    done = run_tool(tool, "organization/lolstack/unit")
    assert done.returncode == 2
    assert done.stderr.endswith("organization/lolstack/unit has a /: write the short name, unit\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_character_that_the_output_cannot_encode_is_a_question_mark(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output of a terminal in Latin-1, for example. The tool prints its help."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "from argparse import ArgumentParser\n"
        "def parse(*_): print('a – b'); sys.exit(0)\n"
        "ArgumentParser.parse_args = ArgumentParser.parse_known_args = parse\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run_tool(tool, "unit")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a ? b\n", "")
