#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["kfp>=2.10"]
# ///
"""KFP's compiler: a fan-in of as many tasks as the argument says; prints seconds and bytes as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path

from kfp import compiler, dsl


@dsl.component(install_kfp_package=False)
def square(x: int) -> int:
    """One of many."""
    return x * x


@dsl.component(install_kfp_package=False)
def total(xs: list) -> int:  # type: ignore[type-arg]
    """The join."""
    return int(sum(xs))


def main(count: int) -> None:
    """Compile once and print what it took."""

    @dsl.pipeline(name="fan")
    def fan() -> int:
        tasks = [square(x=i) for i in range(count)]
        return total(xs=[task.output for task in tasks]).output

    file = Path(tempfile.mkdtemp(), "pipeline.yaml")
    start = time.perf_counter()
    compiler.Compiler().compile(fan, str(file))
    print(json.dumps({"seconds": time.perf_counter() - start, "bytes": file.stat().st_size}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
