"""Run `pulumi up` or `pulumi destroy` with readable progress: `python -m tools.deploy up --stack dev`.

Before `pulumi destroy` the stack's state is repaired (`tools.repair`), and its containers are killed: their data is
deleted too, so none needs to end gracefully.

On a terminal Pulumi draws its own progress display. Without one (CI, a pipe) it prints two or three lines for each
resource, several hundred in all; this prints one line for each finished step and writes the complete output to a log
file. Errors, diagnostics and any line of unknown form are always printed. The exit code is Pulumi's.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from docker.errors import APIError
from requests import RequestException

from infra.clients.docker_engine import DockerUnavailableError, connect, engine_failures, kill_containers
from infra.names import VOLUME_OWNERS, container_name
from tools.cache import cache_folder
from tools.command_line import run, stack_name, write
from tools.pulumi_state import PulumiError, check_locks
from tools.repair import RepairError, repair

ARGUMENTS = {
    "up": ("--yes", "--skip-preview", "--refresh"),  # the refresh finds drift
    "destroy": ("--yes", "--skip-preview"),
}
ROW = re.compile(r"^[ +~<>=-]{4}(?P<resource>[\w-]+:[\w/-]+:\w+ \S+) +(?P<rest>.*?) *$")
"""A line of Pulumi's progress: operation, type, name, then status, seconds and message, all optional."""
UNFINISHED = re.compile(
    r"^(?:(?:creating|updating|deleting|replacing|reading|importing|refreshing|refresh|running)\b"
    r"(?: replacement| original)?(?: \([\w.]+\))?(?: \[diff: [^]]*\])? *)?"
)
"""The status of a step that is not finished, or of a refresh that found nothing."""
COUNTS = re.compile(r"^\d+ (?:warning|message)s?(?:; \d+ messages?)?$")
SECTION = re.compile(r"^\w+:$")
TRACEBACK = "Traceback (most recent call last):"
ERROR_WITH_TRACEBACK = f"error: {TRACEBACK}"
"""How Pulumi reports any error of a dynamic resource (pulumi/dynamic/__main__.py)."""
FRAME = " " * 6
"""The indentation of a traceback's frames within the diagnostics, where the error itself has four spaces."""
OWN_ERROR = "infra."
"""How the name of an error begins whose text says everything, such as that of a health gate."""


def finished_steps(lines: Iterable[str]) -> Iterator[str]:
    """Filter Pulumi's progress: one line for each finished step, each message once, then the diagnostics."""
    printed: set[tuple[str, str]] = set()
    traced: set[str] = set()
    progress = True
    remaining = iter(lines)
    for line in remaining:
        progress = progress and not SECTION.match(line)  # Diagnostics, Outputs, Resources
        row = ROW.match(line) if progress else None
        if row:
            message = UNFINISHED.sub("", row["rest"])
            if row["resource"] in traced:
                continue  # the diagnostics have the rest
            if message.endswith(TRACEBACK):
                traced.add(row["resource"])
                message = line = line.replace(TRACEBACK, "see below")
            if message and not COUNTS.match(message) and (row["resource"], message) not in printed:
                printed.add((row["resource"], message))
                yield line
        elif progress:
            if line:
                yield line
        else:
            yield from without_frames(itertools.chain([line], remaining))
            return


def without_frames(diagnostics: Iterable[str]) -> Iterator[str]:
    """The diagnostics, without the frames above an error of this program's own, nor those of the program that Pulumi
    interrupts after any error."""
    traceback: list[str] = []
    for line in diagnostics:
        if line.strip() in (TRACEBACK, ERROR_WITH_TRACEBACK):
            yield from traceback
            traceback = [line]
        elif not traceback:
            yield line
        elif line.startswith(FRAME):
            traceback.append(line)
        else:
            if line.strip().startswith(OWN_ERROR):
                yield traceback[0].replace(TRACEBACK, line.strip())
            elif line.strip() != "KeyboardInterrupt":
                yield from (*traceback, line)
            traceback = []
    yield from traceback


def log_file(command: str, stack: str) -> Path:
    """The file for the complete output of the last `command` on `stack`; /dev/null if it cannot be created."""
    cache = cache_folder()
    log = cache / f"{command}-{stack}.log"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Never readable by others, not even at first: it can have the last lines of a container's log.
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600))
        if log.is_file():
            log.chmod(0o600)  # one of an earlier version
    except OSError as error:
        write(sys.stderr, f"no log: {error}\n")
        return Path(os.devnull)
    return log


def run_without_terminal(command: list[str], log: Path) -> int:
    """Run Pulumi, print its finished steps, write all of its output to `log`, return its exit code.

    Pulumi must end by itself, or it leaves its lock and half-made resources. So all of its output is read, also if it
    can be written nowhere: it would be killed at its next line.
    """
    with (
        log.open("w", encoding="utf-8") as complete,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", bufsize=1
        ) as pulumi,
    ):
        # Ctrl-C reaches Pulumi directly, as a member of the foreground process group; a second interrupt would make it
        # exit at once.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: pulumi.terminate())

        def logged() -> Iterator[str]:
            assert pulumi.stdout is not None
            for line in pulumi.stdout:
                write(complete, line)
                yield line.rstrip("\n")

        for line in finished_steps(logged()):
            write(sys.stdout, f"{line}\n")
    return pulumi.returncode


def end_containers(stack: str) -> None:
    """Repair the stack's state, then kill its containers and remove those that Pulumi does not know: a backfill's, and
    the one that a killed deployment has left, which would keep the volumes in use.

    Raises RepairError, PulumiError if the stack is being deployed, or DockerUnavailableError.
    """
    for line in repair(stack, discard=True):
        write(sys.stdout, f"{line}\n")
    with engine_failures():
        engine = connect()
        check_locks(stack)  # as late as possible: a deployment may have begun meanwhile
        kill_containers(engine, stack)
        for task in ("backfill", VOLUME_OWNERS):
            with suppress(APIError, RequestException):  # there is none, or `make backfill` is removing it
                engine.containers.get(container_name(stack, task)).remove(force=True)


def main() -> int:
    """Deploy or destroy the stack."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=__doc__)
    parser.add_argument("command", choices=ARGUMENTS)
    parser.add_argument("--stack", type=stack_name, required=True)
    options = parser.parse_args()
    command = ["pulumi", options.command, "--stack", options.stack, *ARGUMENTS[options.command]]
    if options.command == "destroy":
        try:
            end_containers(options.stack)
        except (RepairError, PulumiError, DockerUnavailableError) as error:
            print(error, file=sys.stderr)
            return 1
    if sys.stdout.isatty():
        os.execvp(command[0], command)
    log = log_file(options.command, options.stack)
    write(sys.stdout, f"complete output: {log}\n")
    return run_without_terminal([*command, "--suppress-progress", "--color=never"], log)


if __name__ == "__main__":
    run(main)
