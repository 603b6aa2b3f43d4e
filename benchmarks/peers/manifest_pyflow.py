#!/usr/bin/env python3
"""pyflow: trace, pack and compile a fan-in of as many tasks as the argument says; prints seconds and bytes as JSON."""

import json
import sys
import time

from pyflow import pipeline, task
from pyflow.contract import Home
from pyflow.executors.argo import ArgoSettings, Travelling, to_workflow
from pyflow.packing import pack
from pyflow.store import ContentStore, Keys, open_blobs


@task
def square(x):
    """One of many."""
    return x * x


@task
def total(xs):
    """The join."""
    return sum(xs)


@pipeline
def fan(count):
    """Many calls, one after them."""
    return total([square(i) for i in range(count)])


def main(count: int) -> None:
    """Compile once and print what it took."""
    start = time.perf_counter()
    packed = pack(fan.trace(count), ContentStore(open_blobs("memory://manifest"), Keys("p", "o")))
    home = Home(store_url="s3://bucket/team", project="p", owner="o")
    settings = ArgoSettings(s3_secret="s3", key_secret="key")
    runtime = Travelling(key="v1/runtimes/" + "e" * 64, sha256="e" * 64, in_image="/pyflow-runtime-" + "e" * 16)
    made = to_workflow(
        packed.graph, digest=packed.digest, size=packed.size_bytes, home=home, settings=settings, runtime=runtime
    )
    text = json.dumps(made, separators=(",", ":"))
    print(json.dumps({"seconds": time.perf_counter() - start, "bytes": len(text)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
