"""The machine that the benchmarks run on: processor, memory, operating system, Docker version."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import docker
from msgspec import Struct


class Machine(Struct, frozen=True):
    """Hardware and software that a figure depends on."""

    cpu: str
    cores: int
    memory_gib: int
    system: str
    kernel: str
    docker: str

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib} GiB of memory, {self.system}, Linux {self.kernel}, "
            f"Docker Engine {self.docker}"
        )


def this_machine(engine: docker.DockerClient) -> Machine:
    """Describe the local machine. The Docker engine is assumed to run on it."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return Machine(
        cpu=model.group(1) if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        system=platform.freedesktop_os_release()["PRETTY_NAME"],
        kernel=platform.release(),
        docker=engine.version()["Version"],
    )
