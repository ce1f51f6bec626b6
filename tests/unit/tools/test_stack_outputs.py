"""Errors of reading a stack's outputs. Pulumi is a script with Pulumi's output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import status
from tools.dlq import __main__ as dlq
from tools.stack_outputs import NotDeployedError, read_stack_outputs


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo \"error: no stack named 'other' found\" >&2; exit 6",
            "^the stack other is not deployed: `make up STACK=other`$",
        ),
        ("echo '{}'", "^the stack other is not deployed: `make up STACK=other`$"),
        (
            "printf 'warning: old\\nerror: no state there\\n' >&2; exit 1",
            "^pulumi cannot read the outputs of the stack other: error: no state there$",
        ),
        (None, "^pulumi is not on the PATH: `make setup`, then `source tools/env.sh`$"),
    ],
    ids=["unknown stack", "no outputs", "pulumi fails", "no pulumi"],
)
@pytest.mark.parametrize("main", [status.main, dlq.main], ids=["status", "dlq"])
def test_stack_that_is_not_deployed_is_reported_in_one_line_with_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str | None,
    reason: str,
    main: Callable[[], int],
) -> None:
    if script is not None:
        (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["tool", "--stack", "other"])
    with pytest.raises(NotDeployedError, match=reason) as error:
        read_stack_outputs("other")
    assert main() == 2
    assert capsys.readouterr().out == f"{error.value}\n"
