#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["ray>=2.40", "numpy>=2"]
# ///
"""Ray on this machine alone: two CPUs, no dashboard, loopback only; arrays live in its shared-memory store."""

from __future__ import annotations

import ray

import array_tasks
import harness
import small_tasks

inc = ray.remote(small_tasks.inc)
square = ray.remote(small_tasks.square)
make = ray.remote(array_tasks.make)
add_one = ray.remote(array_tasks.add_one)
sum_up = ray.remote(array_tasks.sum_up)


@ray.remote
def total(*numbers: int) -> int:
    """The join; Ray resolves references given as arguments, not those inside a list."""
    return small_tasks.total(list(numbers))


def start() -> None:
    """Start Ray with as little beside it as it allows."""
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False, object_store_memory=2 << 30
    )


def chain(request: harness.Request) -> object:
    """Tasks one after another; only references pass through the caller."""
    value = request.seed
    for _ in range(request.size):
        value = inc.remote(value)
    return ray.get(value)


def fan(request: harness.Request) -> object:
    """Tasks side by side and one that joins them."""
    numbers = range(request.seed, request.seed + request.size)
    return ray.get(total.remote(*[square.remote(number) for number in numbers]))


def array(request: harness.Request) -> object:
    """Three tasks that pass an array through the object store."""
    first = make.remote(request.size, request.seed, request.trail)
    second = add_one.remote(first, request.trail)
    return ray.get(sum_up.remote(second, request.trail))


if __name__ == "__main__":
    harness.serve({"chain": chain, "fan": fan, "array": array}, version=ray.__version__, start=start, stop=ray.shutdown)
