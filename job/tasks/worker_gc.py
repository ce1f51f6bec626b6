"""Garbage collection in PySpark's Python workers, which run one task after another and collect after each."""

import gc
from functools import cache


@cache
def freeze_imported_objects() -> None:
    """Exclude all present objects, mostly imported modules, from later garbage collections. Runs once per process.

    A full collection visits each object: with pyarrow, the Elasticsearch client and PySpark imported it takes 60 ms of
    processor time after every task of 20 ms, and the next task waits for it.
    """
    gc.collect()
    gc.freeze()
