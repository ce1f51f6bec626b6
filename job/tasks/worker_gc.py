"""Spark's Python workers: each process serves task after task, and PySpark collects its garbage after every one."""

import gc
from functools import cache


@cache
def freeze() -> None:
    """Take what is there by now, mostly imported modules, out of all later collections of this process.

    A full collection looks at each object: with pyarrow, Elasticsearch's client and PySpark imported 60 ms of processor
    time, after every task of 20 ms, and the next task waits for it.
    """
    gc.collect()
    gc.freeze()
