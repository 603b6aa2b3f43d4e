#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["redun>=0.20", "numpy>=2"]
# ///
"""redun: local executor with two processes, its database in memory, no caching; large arrays go as `File`."""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redun import File, Scheduler, task
from redun.config import Config

import array_tasks
import harness
import small_tasks

redun_namespace = "peer"

CONFIG = {
    "backend": {"db_uri": "sqlite:///:memory:"},
    "executors.default": {"type": "local", "mode": "process", "max_workers": "2"},
    "executors.caller": {"type": "local", "mode": "thread", "max_workers": "1"},
}


@task(cache=False)
def inc(x: int) -> int:
    """The link of the chain."""
    return small_tasks.inc(x)


@task(cache=False)
def square(x: int) -> int:
    """The item of the fan."""
    return small_tasks.square(x)


@task(cache=False)
def total(xs: list[int]) -> int:
    """The join of the fan."""
    return small_tasks.total(xs)


@task(cache=False)
def make(size: int, seed: int, target: str, trail: str) -> File:
    """The first array, as a file."""
    return File(array_tasks.make_file(size, seed, target, trail))


@task(cache=False)
def add_one(source: File, target: str, trail: str) -> File:
    """The second array, as a file."""
    return File(array_tasks.add_one_file(source.path, target, trail))


@task(cache=False)
def sum_up(source: File, trail: str) -> float:
    """The sum of a file's array."""
    return array_tasks.sum_up_file(source.path, trail)


@task(cache=False, executor="caller")
def chain_flow(size: int, seed: int) -> Any:
    """Tasks one after another."""
    value = seed
    for _ in range(size):
        value = inc(value)
    return value


@task(cache=False, executor="caller")
def fan_flow(size: int, seed: int) -> Any:
    """Tasks side by side and one that joins them."""
    return total([square(number) for number in range(seed, seed + size)])


@task(cache=False, executor="caller")
def array_flow(size: int, seed: int, trail: str) -> Any:
    """Three tasks that pass an array by file."""
    first, second = (str(Path.cwd() / f"{seed}-{name}.npy") for name in ("first", "second"))
    return sum_up(add_one(make(size, seed, first, trail), second, trail), trail)


@cache
def scheduler() -> Any:
    """The one scheduler of this process; its pool starts with the first task."""
    logging.getLogger("redun").setLevel(logging.WARNING)
    made = Scheduler(config=Config(CONFIG))
    made.load()
    return made


WORKLOADS = {
    "chain": lambda request: scheduler().run(chain_flow(request.size, request.seed)),
    "fan": lambda request: scheduler().run(fan_flow(request.size, request.seed)),
    "array": lambda request: scheduler().run(array_flow(request.size, request.seed, request.trail)),
}

if __name__ == "__main__":
    harness.serve(WORKLOADS, version=version("redun"), start=scheduler)
