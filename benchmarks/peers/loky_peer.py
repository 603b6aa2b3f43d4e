#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["joblib", "loky", "numpy>=2"]
# ///
"""loky, the executor behind joblib: two reusable workers; large arrays travel by value through the caller."""

from __future__ import annotations

import loky

import array_tasks
import harness
import small_tasks


def chain(request: harness.Request) -> object:
    """Tasks one after another, each handed the value before it."""
    pool = loky.get_reusable_executor(2)
    value = request.seed
    for _ in range(request.size):
        value = pool.submit(small_tasks.inc, value).result()
    return value


def fan(request: harness.Request) -> object:
    """Tasks side by side and one that joins them."""
    pool = loky.get_reusable_executor(2)
    numbers = range(request.seed, request.seed + request.size)
    futures = [pool.submit(small_tasks.square, number) for number in numbers]
    return pool.submit(small_tasks.total, [future.result() for future in futures]).result()


def array(request: harness.Request) -> object:
    """Three tasks that pass an array by value."""
    pool = loky.get_reusable_executor(2)
    first = pool.submit(array_tasks.make, request.size, request.seed, request.trail).result()
    second = pool.submit(array_tasks.add_one, first, request.trail).result()
    return pool.submit(array_tasks.sum_up, second, request.trail).result()


if __name__ == "__main__":
    harness.serve({"chain": chain, "fan": fan, "array": array}, version=loky.__version__)
