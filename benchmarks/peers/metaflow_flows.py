#!/usr/bin/env python3
"""The three flows that `metaflow_peer.py` runs, one at a time.

Which one is in the environment and not an argument: Metaflow starts this file again for every step, with
arguments of its own.
"""

from __future__ import annotations

import os

from metaflow import FlowSpec, Parameter, step

import array_tasks
import small_tasks


class ChainFlow(FlowSpec):
    """Tasks one after another: a step that goes back to itself."""

    size = Parameter("size", type=int)
    seed = Parameter("seed", type=int)
    trail = Parameter("trail", default="")

    @step
    def start(self) -> None:
        """Nothing yet."""
        self.value, self.left, self.more = self.seed, self.size, "yes"
        self.next(self.inc)

    @step
    def inc(self) -> None:
        """The link of the chain."""
        self.value, self.left = small_tasks.inc(self.value), self.left - 1
        self.more = "yes" if self.left else "no"
        self.next({"yes": self.inc, "no": self.end}, condition="more")

    @step
    def end(self) -> None:
        """Say what came out."""
        print(f"VALUE={self.value}")


class FanFlow(FlowSpec):
    """Tasks side by side and one that joins them."""

    size = Parameter("size", type=int)
    seed = Parameter("seed", type=int)
    trail = Parameter("trail", default="")

    @step
    def start(self) -> None:
        """The items."""
        self.numbers = list(range(self.seed, self.seed + self.size))
        self.next(self.square, foreach="numbers")

    @step
    def square(self) -> None:
        """The item of the fan."""
        self.value = small_tasks.square(self.input)
        self.next(self.join)

    @step
    def join(self, inputs: list[FanFlow]) -> None:
        """The join."""
        self.value = small_tasks.total([one.value for one in inputs])
        self.next(self.end)

    @step
    def end(self) -> None:
        """Say what came out."""
        print(f"VALUE={self.value}")


class ArrayFlow(FlowSpec):
    """Three tasks that pass an array as an artifact; Metaflow's first and last step are two of them."""

    size = Parameter("size", type=int)
    seed = Parameter("seed", type=int)
    trail = Parameter("trail", default="")

    @step
    def start(self) -> None:
        """The first array."""
        self.array = array_tasks.make(self.size, self.seed, self.trail)
        self.next(self.add_one)

    @step
    def add_one(self) -> None:
        """The second array."""
        self.array = array_tasks.add_one(self.array, self.trail)
        self.next(self.end)

    @step
    def end(self) -> None:
        """The sum."""
        print(f"VALUE={array_tasks.sum_up(self.array, self.trail)}")


if __name__ == "__main__":
    {"chain": ChainFlow, "fan": FanFlow, "array": ArrayFlow}[os.environ["BENCHMARK_FLOW"]]()
