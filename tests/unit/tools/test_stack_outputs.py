"""What a stack that is not deployed, or cannot be asked, is told as. Pulumi is a script that answers as Pulumi does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import dlq, status
from tools.stack_outputs import NotDeployedError, outputs_of


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (
            "echo \"error: no stack named 'other' found\" >&2; exit 6",
            "the stack other is not deployed: `make up STACK=oth",
        ),
        ("echo '{}'", "the stack other is not deployed: `make up STACK=other`"),
        (
            "printf 'warning: old\\nerror: no state there\\n' >&2; exit 1",
            "pulumi cannot say what is .*: error: no state there$",
        ),
        (None, "there is no pulumi on the PATH: `source tools/env.sh`"),
    ],
)
@pytest.mark.parametrize("tool", [status, dlq])
def test_it_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str | None,
    complaint: str,
    tool: object,
) -> None:
    if script is not None:
        (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["tool", "--stack", "other"])
    with pytest.raises(NotDeployedError, match=complaint) as error:
        outputs_of("other")
    assert tool.main() == 2  # type: ignore[attr-defined]
    assert capsys.readouterr().out == f"{error.value}\n"
