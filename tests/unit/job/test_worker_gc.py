"""Imported objects are excluded from a Python worker's garbage collections."""

import subprocess
import sys

PROGRAM = """
import gc
from job.tasks import index_matches, worker_gc
imported = len(gc.get_objects())
worker_gc.freeze_imported_objects()
left = len(gc.get_objects())
created_later = [[] for _ in range(1000)]
worker_gc.freeze_imported_objects()
print(imported > 10_000, left < imported / 100, any(each is created_later for each in gc.get_objects()))
"""


def test_imported_objects_are_frozen_once_and_later_objects_are_collected() -> None:
    """In a process of its own, like a worker: in this one most objects are the tests'."""
    assert subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).split() == ["True"] * 3
