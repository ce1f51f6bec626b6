"""What a Python worker imported is not looked at by each of its collections."""

import subprocess
import sys

ASK = """
import gc
from job.tasks import index_matches, worker_gc
assert gc.get_freeze_count() == 0
worker_gc.freeze()
frozen = gc.get_freeze_count()
worker_gc.freeze()
print(frozen > 10_000, gc.get_freeze_count() == frozen)
"""


def test_what_was_imported_is_frozen_once() -> None:
    """In a process of its own: this one's objects are the tests'."""
    assert subprocess.check_output([sys.executable, "-c", ASK], text=True).split() == ["True", "True"]
