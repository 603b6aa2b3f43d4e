#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["kfp>=2.10", "numpy>=2"]
# ///
"""KFP's local runner: a subprocess per task in this environment, nothing installed; arrays go as artifacts.

KFP ships the source of each component alone and reads its annotations, so that components import what they
use themselves and annotations cannot be postponed.
"""

import kfp
from kfp import dsl, local

import harness


@dsl.component(install_kfp_package=False)
def inc(x: int) -> int:
    """The link of the chain."""
    return x + 1


@dsl.component(install_kfp_package=False)
def square(x: int) -> int:
    """The item of the fan."""
    return x * x


@dsl.component(install_kfp_package=False)
def total(xs: list) -> int:  # type: ignore[type-arg]
    """The join of the fan; KFP hands numbers in a list over as floats."""
    return int(sum(xs))


@dsl.component(install_kfp_package=False)
def make(size: int, seed: int, trail: str, array: dsl.Output[dsl.Dataset]) -> None:
    """The first array."""
    import os
    from pathlib import Path

    import numpy as np

    if trail:
        (Path(trail) / f"{os.getpid()}.1").touch()
    with open(array.path, "wb") as file:
        np.save(file, np.arange(seed, seed + size, dtype=np.float64))


@dsl.component(install_kfp_package=False)
def add_one(trail: str, source: dsl.Input[dsl.Dataset], array: dsl.Output[dsl.Dataset]) -> None:
    """The second array."""
    import os
    from pathlib import Path

    import numpy as np

    if trail:
        (Path(trail) / f"{os.getpid()}.1").touch()
    with open(array.path, "wb") as file:
        np.save(file, np.load(source.path, mmap_mode="r") + 1)


@dsl.component(install_kfp_package=False)
def sum_up(trail: str, source: dsl.Input[dsl.Dataset]) -> float:
    """The sum of an array."""
    import os
    from pathlib import Path

    import numpy as np

    if trail:
        (Path(trail) / f"{os.getpid()}.0").touch()
    return float(np.load(source.path, mmap_mode="r").sum())


def chain(request: harness.Request) -> object:
    """Tasks one after another, laid out when the pipeline is compiled."""

    @dsl.pipeline(name="chain")
    def flow() -> int:
        step = inc(x=request.seed)
        for _ in range(request.size - 1):
            step = inc(x=step.output)
        return step.output

    return flow().output


def fan(request: harness.Request) -> object:
    """Tasks side by side and one that joins them, by KFP's own loop."""

    @dsl.pipeline(name="fan")
    def flow() -> int:
        with dsl.ParallelFor(list(range(request.seed, request.seed + request.size))) as number:
            step = square(x=number)
        return total(xs=dsl.Collected(step.output)).output

    return flow().output


def array(request: harness.Request) -> object:
    """Three tasks that pass an array as an artifact."""

    @dsl.pipeline(name="array")
    def flow() -> float:
        first = make(size=request.size, seed=request.seed, trail=request.trail)
        second = add_one(trail=request.trail, source=first.outputs["array"])
        return sum_up(trail=request.trail, source=second.outputs["array"]).output

    return flow().output


def start() -> None:
    """Tasks run in subprocesses of this environment and leave their outputs below the working directory."""
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root="outputs")


if __name__ == "__main__":
    harness.serve({"chain": chain, "fan": fan, "array": array}, version=kfp.__version__, start=start)
