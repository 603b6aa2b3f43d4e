#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2"]
# ///
"""`concurrent.futures`: a process pool of two, started by spawn; large arrays go by file, unverified."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import array_tasks
import harness
import small_tasks

POOL = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def chain(request: harness.Request) -> int:
    """Tasks one after another, each handed the value before it."""
    value = request.seed
    for _ in range(request.size):
        value = POOL.submit(small_tasks.inc, value).result()
    return value


def fan(request: harness.Request) -> int:
    """Tasks side by side and one that joins them."""
    numbers = range(request.seed, request.seed + request.size)
    futures = [POOL.submit(small_tasks.square, number) for number in numbers]
    return POOL.submit(small_tasks.total, [future.result() for future in futures]).result()


def array(request: harness.Request) -> float:
    """Three tasks that pass an array by `np.save` and `np.load(mmap_mode="r")`."""
    first, second = (str(Path.cwd() / f"{request.seed}-{name}.npy") for name in ("first", "second"))
    POOL.submit(array_tasks.make_file, request.size, request.seed, first, request.trail).result()
    POOL.submit(array_tasks.add_one_file, first, second, request.trail).result()
    return POOL.submit(array_tasks.sum_up_file, second, request.trail).result()


if __name__ == "__main__":
    harness.serve({"chain": chain, "fan": fan, "array": array}, version=sys.version.split()[0], stop=POOL.shutdown)
