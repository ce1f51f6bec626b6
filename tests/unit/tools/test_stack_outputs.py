"""Errors of reading a stack's outputs. Pulumi is a script with Pulumi's output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import ReadTimeout

from infra.names import IMAGE_SOURCE_LABEL, STACK_LABEL
from tests.support.fake_docker import FakeContainer, FakeDockerEngine
from tools import stack_outputs, status
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
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    monkeypatch.setattr(sys, "argv", ["tool", "--stack", "other"])
    with pytest.raises(NotDeployedError, match=reason) as error:
        read_stack_outputs("other")
    assert main() == 2
    assert capsys.readouterr().out == f"{error.value}\n"


def test_stack_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not called undeployed: `make up`, the advice of that line, would be refused."""
    (tmp_path / "pulumi").write_text("#!/bin/sh\necho \"error: no stack named 'other' found\" >&2; exit 6\n")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = FakeDockerEngine(tmp_path)
    services = [FakeContainer({IMAGE_SOURCE_LABEL: "build"}, name=f"lolstack-other-{name}") for name in "abcde"]
    engine.containers_by_label[f"{STACK_LABEL}=other"] = services
    monkeypatch.setattr(stack_outputs, "connect", lambda: engine)
    with pytest.raises(NotDeployedError) as error:
        read_stack_outputs("other")
    assert str(error.value).startswith("the stack other is already deployed on this Docker engine by another user")
    assert "does not contain lolstack-other-a, lolstack-other-b, lolstack-other-c, …. Deploy" in str(error.value)


def test_engine_that_answers_but_does_not_work_does_not_hide_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pulumi").write_text("#!/bin/sh\necho \"error: no stack named 'other' found\" >&2; exit 6\n")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = FakeDockerEngine(tmp_path)

    def fail(**_: Any) -> None:
        raise ReadTimeout

    monkeypatch.setattr(engine.containers, "list", fail)
    monkeypatch.setattr(stack_outputs, "connect", lambda: engine)
    with pytest.raises(NotDeployedError, match=r"^the stack other is not deployed: `make up STACK=other`$"):
        read_stack_outputs("other")


def test_unreadable_state_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pulumi").write_text(
        "#!/bin/sh\ncase $2 in output) echo '{}' ;; *) echo 'error: no space' >&2; exit 1 ;; esac\n"
    )
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(stack_outputs, "connect", lambda: FakeDockerEngine(tmp_path))
    with pytest.raises(NotDeployedError, match=r"^the state of the stack other cannot be read: error: no space$"):
        read_stack_outputs("other")
