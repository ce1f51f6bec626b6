"""How much an executor's JVM holds on to, after a garbage collection."""

from __future__ import annotations

import re

from harness.stack import Stack
from infra.clients.docker_engine import execute

# A JRE has no jcmd. What that does: ask for the JVM's socket (a file and a signal), and send it a command with three
# arguments, each ended by a zero byte. The last line of a histogram of live objects is their number and their bytes.
# The brackets keep this script itself from being found.
ATTACH = """
import os, pathlib, signal, socket, subprocess, time
pid = int(subprocess.check_output(["pgrep", "-f", "java.*[C]oarseGrainedExecutorBackend"]).split()[0])
door = pathlib.Path(f"/tmp/.java_pid{pid}")
if not door.exists():
    bell = pathlib.Path(f"/tmp/.attach_pid{pid}")
    bell.touch()
    os.kill(pid, signal.SIGQUIT)
    for _ in range(100):
        if door.exists():
            break
        time.sleep(0.1)
    bell.unlink()
with socket.socket(socket.AF_UNIX) as jvm:
    jvm.connect(str(door))
    jvm.sendall(b"1\\0inspectheap\\0-live\\0\\0\\0")
    print(jvm.makefile().read())
"""


def live_heap(stack: Stack) -> int:
    """Bytes of all live objects in the executor."""
    exit_code, text = execute(stack.container_name("spark-worker"), ["python3", "-c", ATTACH])
    assert exit_code == 0, text
    total = re.search(r"^Total +\d+ +(\d+)", text, re.MULTILINE)
    assert total is not None, text[-500:]
    return int(total[1])
