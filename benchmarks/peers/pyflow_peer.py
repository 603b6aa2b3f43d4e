#!/usr/bin/env python3
"""pyflow on its default executor, two CPUs and a folder below the working directory as its store."""

from __future__ import annotations

import time
from importlib.metadata import version

import array_tasks
import harness
import small_tasks
from pyflow import pipeline, task
from pyflow.packing import pack
from pyflow.store import ContentStore, Keys, open_blobs

inc = task(small_tasks.inc)
square = task(small_tasks.square)
total = task(small_tasks.total)
make = task(array_tasks.make)
add_one = task(array_tasks.add_one)
sum_up = task(array_tasks.sum_up)


@pipeline
def chain(size: int, seed: int) -> int:
    """Tasks one after another, each handed the value before it."""
    value = seed
    for _ in range(size):
        value = inc(value)
    return value


@pipeline
def fan_map(size: int, seed: int) -> int:
    """Tasks side by side, made by one `map`, and one that joins them."""
    return total(square.map(range(seed, seed + size)))


@pipeline
def fan_calls(size: int, seed: int) -> int:
    """Tasks side by side, each a call of its own, and one that joins them."""
    return total([square(number) for number in range(seed, seed + size)])


@pipeline
def array(size: int, seed: int, trail: str) -> float:
    """Three tasks that pass an array."""
    return sum_up(add_one(make(size, seed, trail), trail), trail)


def trace_calls(request: harness.Request) -> harness.Timed:
    """Only the first part of the road: the body of `fan_calls` becomes a graph."""
    began = time.perf_counter()
    fan_calls.trace(request.size, request.seed)
    return harness.Timed(None, time.perf_counter() - began)


def pack_calls(request: harness.Request) -> harness.Timed:
    """Only the second part of the road: the graph becomes plain JSON, its functions and constants blobs."""
    graph = fan_calls.trace(request.size, request.seed)
    content = ContentStore(open_blobs(f"packed-{request.seed}"), Keys(project="benchmark", owner="benchmark"))
    began = time.perf_counter()
    pack(graph, content)
    return harness.Timed(None, time.perf_counter() - began)


WORKLOADS = {
    "chain": lambda request: chain(request.size, request.seed),
    "fan_map": lambda request: fan_map(request.size, request.seed),
    "fan_calls": lambda request: fan_calls(request.size, request.seed),
    "array": lambda request: array(request.size, request.seed, request.trail),
    "trace_calls": trace_calls,
    "pack_calls": pack_calls,
}

if __name__ == "__main__":
    harness.serve(WORKLOADS, version=version("pyflow-tasks"))
