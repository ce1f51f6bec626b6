"""Progress of `pulumi up` and `pulumi destroy` without a terminal, with a script in place of Pulumi."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import APIError

from infra.names import IMAGE_SOURCE_LABEL, ROOT, STACK_LABEL
from tests.support.fake_docker import FakeContainer, FakeDockerEngine
from tests.support.fake_pulumi import FakePulumi
from tools import deploy as deploy_tool
from tools import repair
from tools.deploy import finished_steps, log_file

UP = """\
Updating (dev):
    pulumi:pulumi:Stack lolstack-dev  images: build (as in the running stack)

 ~  docker:index:Container kafka refreshing (0s) \n\
 ~  docker:index:Container kafka refresh (0.48s) \n\
 ~  pulumi:pulumi:Stack lolstack-dev refreshing (3s) warning: kibana is left out
    pulumi:pulumi:Stack lolstack-dev running warning: kibana is left out
    docker:index:Volume broker  \n\
 +  docker:index:Container zookeeper creating (0s) \n\
 +  docker:index:Container zookeeper created (1s) \n\
 ~  docker:index:Container kafka updating (0s) [diff: ~envs]
 ~  docker:index:Container kafka updated (2s) [diff: ~envs]
++  docker:index:Container cassandra creating replacement (0s) [diff: +image]
++  docker:index:Container cassandra **creating failed** error: name conflict
    pulumi:pulumi:Stack lolstack-dev  2 warnings; 1 message
    docker:index:Container cassandra  1 error
 an unknown line
Diagnostics:
  docker:index:Container (cassandra):
    error: name conflict

    docker:index:Volume broker  \n\
"""


def test_one_line_for_each_finished_step_and_all_errors_and_diagnostics() -> None:
    assert "\n".join(finished_steps(UP.splitlines())) == (
        """\
Updating (dev):
    pulumi:pulumi:Stack lolstack-dev  images: build (as in the running stack)
 ~  pulumi:pulumi:Stack lolstack-dev refreshing (3s) warning: kibana is left out
 +  docker:index:Container zookeeper created (1s) \n\
 ~  docker:index:Container kafka updated (2s) [diff: ~envs]
++  docker:index:Container cassandra **creating failed** error: name conflict
    docker:index:Container cassandra  1 error
 an unknown line
Diagnostics:
  docker:index:Container (cassandra):
    error: name conflict

    docker:index:Volume broker  """
    )


FAILED = """\
Updating (dev):
 +  pulumi-python:dynamic/container:HealthGate archive-healthy creating (0s) \n\
 +  pulumi-python:dynamic/container:HealthGate archive-healthy creating (9s) error: Traceback (most recent call last):
 +  pulumi-python:dynamic/container:HealthGate archive-healthy **failed** error: Traceback (most recent call last):
 +  docker:index:Container zookeeper created (1s) \n\
Diagnostics:
  pulumi:pulumi:Stack (lolstack-dev):
    error: update failed

    Traceback (most recent call last):
      File "pulumi-language-python-exec", line 197, in <module>
    KeyboardInterrupt

  pulumi-python:dynamic/container:HealthGate (archive-healthy):
    error: Traceback (most recent call last):
      File "pulumi/dynamic/__main__.py", line 84, in wrapper
        return fn(self, request, context)
               ^^^^^^^^^^^^^^^^^^^^^^^^^^
    infra.provisioning.health_gate.NotHealthyError: lolstack-dev-archive is not healthy after 9 s: no answer
    Last log lines:
    Traceback (most recent call last):
      File "archive.py", line 7, in main
    cassandra.cluster.NoHostAvailable: nobody
"""


def test_own_error_of_a_dynamic_resource_has_no_traceback() -> None:
    """But a log's traceback stays, and so does that of an error that nobody expects."""
    expected = """\
Updating (dev):
 +  pulumi-python:dynamic/container:HealthGate archive-healthy creating (9s) error: see below
 +  docker:index:Container zookeeper created (1s) \n\
Diagnostics:
  pulumi:pulumi:Stack (lolstack-dev):
    error: update failed


  pulumi-python:dynamic/container:HealthGate (archive-healthy):
    error: infra.provisioning.health_gate.NotHealthyError: lolstack-dev-archive is not healthy after 9 s: no answer
    Last log lines:
    Traceback (most recent call last):
      File "archive.py", line 7, in main
    cassandra.cluster.NoHostAvailable: nobody"""
    assert "\n".join(finished_steps(FAILED.splitlines())) == expected
    unexpected = FAILED.replace("infra.provisioning.health_gate.NotHealthyError", "KeyError")
    assert unexpected.partition("(archive-healthy):")[2].rstrip() in "\n".join(finished_steps(unexpected.splitlines()))


def deploy(tmp_path: Path, script: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """`python -m tools.deploy up` without a terminal, with `script` in place of Pulumi, in its own process group."""
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "pulumi").chmod(0o755)
    return subprocess.Popen(
        # A job in the background of a script ignores SIGINT, and so would this one.
        ["env", "--default-signal=INT", sys.executable, "-m", "tools.deploy", "up", "--stack", "other"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def test_exit_code_is_pulumis_and_complete_output_is_in_the_log(tmp_path: Path) -> None:
    progress = " +  docker:index:Volume broker creating (0s)"
    run = deploy(tmp_path, f"echo \"$@\"; echo '{progress}'; echo 'error: no engine' >&2; exit 255")
    output, _ = run.communicate()
    log = tmp_path / "lolstack" / "up-other.log"
    assert run.returncode == 255
    assert output.splitlines()[0] == f"complete output: {log}"
    assert output.splitlines()[1].startswith("up --stack other --yes --skip-preview --refresh")
    assert output.splitlines()[2:] == ["error: no engine"]
    assert log.read_text().splitlines()[1:] == [progress, "error: no engine"]
    assert log.stat().st_mode & 0o777 == 0o600, "others can read the log"


def test_log_can_never_be_read_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor opened before its mode is set, and read later."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    former = os.umask(0)
    try:
        assert log_file("up", "other").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(former)


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
def test_interruption_reaches_pulumi_once_and_its_shutdown_is_awaited(
    tmp_path: Path, interruption: signal.Signals
) -> None:
    script = """trap 'echo interrupted >&2; [ -e "$0.seen" ] && exit 9; touch "$0.seen"' INT TERM
      echo started; n=0; while [ ! -e "$0.seen" ] && [ $((n += 1)) -lt 200 ]; do sleep 0.1; done
      sleep 0.5; echo unlocked; exit 3"""
    run = deploy(tmp_path, script)
    assert run.stdout is not None
    assert "started\n" in iter(run.stdout.readline, "")  # from then on, both processes handle signals
    if interruption is signal.SIGINT:
        os.killpg(run.pid, interruption)  # as a terminal does
    else:
        run.send_signal(interruption)
    output, _ = run.communicate(timeout=60)
    assert output.splitlines() == ["interrupted", "unlocked"]
    assert run.returncode == 3


PROGRESS = "n=0; while [ $((n += 1)) -le 300 ]; do echo line $n; done"
"""Much output after a first line."""


def test_reader_that_ends_early_does_not_end_pulumi(tmp_path: Path) -> None:
    """`make up | head`, or Ctrl-C with `make up | tee`. A process that writes into a closed pipe is killed."""
    run = deploy(tmp_path, f"echo started; while [ ! -e {tmp_path}/closed ]; do sleep 0.1; done; {PROGRESS}; exit 3")
    assert run.stdout is not None
    assert "started\n" in iter(run.stdout.readline, "")
    run.stdout.close()
    (tmp_path / "closed").touch()
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 3
    assert (tmp_path / "lolstack" / "up-other.log").read_text().splitlines()[-1] == "line 300"
    assert errors == "<stdout>: no more output: [Errno 32] Broken pipe\n"


def test_reader_of_output_and_errors_that_has_ended_before_the_start_does_not_end_pulumi(tmp_path: Path) -> None:
    """`make up 2>&1 | false`."""
    run = deploy(tmp_path, f"{PROGRESS}; exit 3", stderr=subprocess.STDOUT)
    assert run.stdout is not None
    run.stdout.close()
    assert run.wait(timeout=60) == 3


def test_full_disk_for_the_log_does_not_end_pulumi(tmp_path: Path) -> None:
    log = tmp_path / "lolstack" / "up-other.log"
    log.parent.mkdir()
    log.symlink_to("/dev/full")
    run = deploy(tmp_path, f"{PROGRESS}; exit 3")
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 3
    assert output.splitlines()[-1] == "line 300"
    assert errors == f"{log}: no more output: [Errno 28] No space left on device\n"


def test_log_that_cannot_be_created_does_not_prevent_a_deployment(tmp_path: Path) -> None:
    """`make down` may be the way to free a full disk."""
    (tmp_path / "lolstack").touch()  # where the log's folder would be
    run = deploy(tmp_path, "echo done; exit 3")
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 3
    assert output.splitlines() == ["complete output: /dev/null", "done"]
    assert errors.startswith("no log: [Errno 17] File exists")


def test_character_that_the_output_cannot_encode_does_not_end_pulumi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    run = deploy(tmp_path, f"echo 'error: …'; {PROGRESS}; exit 3")
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 3
    assert output.splitlines()[1:3] == ["error: ?", "line 1"]
    assert errors == ""
    assert "error: …" in (tmp_path / "lolstack" / "up-other.log").read_text()


KAFKA = FakeContainer({IMAGE_SOURCE_LABEL: "build"}, name="lolstack-other-kafka")
OWN_STATE = {"resources": [{"type": "docker:index/container:Container", "id": KAFKA.id}]}


@pytest.fixture
def actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the stack `other`: it has one container, and one of a backfill that ended without removing it."""
    actions: list[str] = []
    engine = FakeDockerEngine(tmp_path)
    engine.containers_by_label[f"{STACK_LABEL}=other"] = [KAFKA]
    engine.containers.get = lambda name: SimpleNamespace(remove=lambda force: actions.append(f"remove {name}"))
    for tool in (repair, deploy_tool):
        monkeypatch.setattr(tool, "connect", lambda: engine)
    monkeypatch.setattr(deploy_tool, "kill_containers", lambda *_: actions.append("kill"))

    def run(command: list[str], _log: Path) -> int:
        actions.append(" ".join(command[:2]))
        return 0

    monkeypatch.setattr(deploy_tool, "run_without_terminal", run)
    return actions


def destroy(pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch) -> int:
    """`python -m tools.deploy destroy` without a terminal."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(pulumi.folder))
    monkeypatch.setattr(sys, "argv", ["deploy", "destroy", "--stack", "other"])
    return deploy_tool.main()


def test_containers_are_killed_and_those_that_pulumi_does_not_know_removed_before_the_stack_is_destroyed(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, actions: list[str]
) -> None:
    pulumi.give_state(OWN_STATE)
    assert destroy(pulumi, monkeypatch) == 0
    assert actions == [
        *("kill", "remove lolstack-other-backfill", "remove lolstack-other-volume-owners"),
        "pulumi destroy",
    ]


def test_containers_of_a_stack_that_another_user_deployed_are_not_killed(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], actions: list[str]
) -> None:
    pulumi.forget_stacks()
    assert destroy(pulumi, monkeypatch) == 1
    assert "the stack other is already deployed on this Docker engine by another user" in capsys.readouterr().err
    assert actions == []


@pytest.mark.parametrize("begins", ["before", "while its state is read"])
def test_containers_of_a_stack_that_is_being_deployed_are_not_killed(
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    actions: list[str],
    running_pulumi: int,
    begins: str,
) -> None:
    """Pulumi has its lock also while it asks whether to go on."""
    pulumi.lock("other", running_pulumi)
    pulumi.give_state(OWN_STATE)
    if begins != "before":
        locks, later = pulumi.locks("other"), pulumi.folder / "later"
        locks.rename(later)
        pulumi.answer("stack export", f"mv {later} {locks}; cat {pulumi.folder}/state.json")
    assert destroy(pulumi, monkeypatch) == 1
    assert f"the stack other is being deployed by process {running_pulumi}: " in capsys.readouterr().err
    assert actions == []


def test_engine_that_answers_but_does_not_work_is_one_line(
    pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], actions: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise APIError("500 Server Error", explanation="containerd is not running")

    monkeypatch.setattr(deploy_tool, "kill_containers", fail)
    pulumi.give_state(OWN_STATE)
    assert destroy(pulumi, monkeypatch) == 1
    error = capsys.readouterr().err
    assert "does not work" in error
    assert error.count("\n") == 1
    assert actions == []
