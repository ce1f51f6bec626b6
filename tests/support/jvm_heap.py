"""Heap of an executor's JVM after a garbage collection, to detect a memory leak."""

from __future__ import annotations

import re

from harness.stack import Stack
from infra.clients.docker_engine import execute

# The image has a JRE, which lacks jcmd. This does the same by the JVM's attach protocol: create a file and send SIGQUIT
# to make the JVM open its socket, then send a command with three arguments, each terminated by a zero byte. The last
# line of the histogram of live objects is their count and their bytes. The brackets in the pattern keep pgrep from
# matching this script itself.
ATTACH = """
import os, pathlib, signal, socket, subprocess, time
pid = int(subprocess.check_output(["pgrep", "-f", "java.*[C]oarseGrainedExecutorBackend"]).split()[0])
jvm_socket = pathlib.Path(f"/tmp/.java_pid{pid}")
if not jvm_socket.exists():
    trigger = pathlib.Path(f"/tmp/.attach_pid{pid}")
    trigger.touch()
    os.kill(pid, signal.SIGQUIT)
    for _ in range(100):
        if jvm_socket.exists():
            break
        time.sleep(0.1)
    trigger.unlink()
with socket.socket(socket.AF_UNIX) as jvm:
    jvm.connect(str(jvm_socket))
    jvm.sendall(b"1\\0inspectheap\\0-live\\0\\0\\0")
    print(jvm.makefile().read())
"""


def live_heap_bytes(stack: Stack) -> int:
    """Bytes of all live objects on the executor's heap."""
    exit_code, text = execute(stack.container_name("spark-worker"), ["python3", "-c", ATTACH])
    assert exit_code == 0, text
    total = re.search(r"^Total +\d+ +(\d+)", text, re.MULTILINE)
    assert total is not None, text[-500:]
    return int(total[1])
