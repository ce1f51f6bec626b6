"""Ends a process of dynamic providers whose Pulumi engine is gone.

Pulumi ends its plugins when it ends, but not when it is killed (SIGKILL, out of memory). A process of dynamic providers
would then serve its port on 127.0.0.1 for ever, without a login, and runs what it is sent.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

INTERVAL_SECONDS = 2
PROVIDERS = "pulumi.dynamic.__main__"
"""The module that such a process runs: `python -m pulumi.dynamic FLAGS… ENGINE`, with the engine's host:port."""


def end_with_engine() -> None:
    """If this is a process of dynamic providers, let it end once the engine does not listen any more."""
    main = sys.modules["__main__"].__spec__
    if main is None or main.name != PROVIDERS:
        return
    host, _, port = sys.argv[-1].rpartition(":")
    threading.Thread(target=_watch, args=(host, int(port)), name="engine-watch", daemon=True).start()


def _watch(host: str, port: int) -> None:
    while True:
        time.sleep(INTERVAL_SECONDS)
        try:
            socket.create_connection((host, port), timeout=INTERVAL_SECONDS).close()
        except ConnectionRefusedError:
            os._exit(1)  # from a thread, sys.exit would end the thread only
        except OSError:
            continue  # overloaded, but there
