"""Tasks in containers beside ``docker run --rm`` of the same image doing nothing, in one run; by hand, for it needs a Docker engine.

    python benchmarks/containers.py [--rounds 3] [--s3 s3://bucket/prefix] [--json containers.json]

The two take turns. A figure is the median over the rounds, a ratio that of the ratios of neighbours. What ``docker run``
does is started by Docker's own command, as many at a time as pyflow has containers; pyflow's time is a whole run's:
tracing, packing, the records of the run and its results are in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyflow import pipeline, task
from pyflow.images import ensure_runtime_image, open_engine

LIMIT = 1.5
ENTRY_LIMIT_S = 0.25
SIZE_LIMIT_MB = 60


@task
def number(n, seed):
    return n + seed


@task
def following(value):
    return value + 1


@task
def since_entry(_):
    """Seconds from the making of the container's first process to this line."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    with open("/proc/1/stat", encoding="ascii") as file:
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return now - started


BARE = "read now _ < /proc/uptime; read -r stat < /proc/1/stat; echo $now ${stat##*)}"
"""The same for a shell in the place of pyflow: what the engine does with the process before the entry point runs."""


@pipeline
def many(count, seed, cpus, batch):
    called = number if cpus is None else number.with_options(cpus=cpus)  # a limit, too, when it is said
    return called.with_options(batch=batch).map(range(count), seed=seed)


@pipeline
def chain(length, seed):
    value = number(0, seed)
    for _ in range(length - 1):
        value = following(value)
    return value


@pipeline
def entries(count):
    return since_entry.with_options(network="host").map(range(count))


def pyflow_run(flow, *args, store, width=10**6):
    began = time.monotonic()
    value = flow.with_options(executor="docker", store=store, parallelism=width, progress=False)(*args)
    return time.monotonic() - began, value


def docker_runs(image: str, count: int, width: int) -> float:
    """Seconds that so many containers take which do nothing, so many at a time."""
    command = ["docker", "run", "--rm", "--entrypoint", "true", image]
    began = time.monotonic()
    with ThreadPoolExecutor(width) as pool:
        list(pool.map(lambda _: subprocess.run(command, check=True, capture_output=True), range(count)))
    return time.monotonic() - began


def cases(image: str, store: str) -> dict[str, tuple[int, Callable[[int], float], Callable[[], float]]]:
    """For each kind of work how many tasks it has, pyflow's seconds, and Docker's."""

    def mapped(count: int, width: int, batch: int = 1, cpus: float | None = None) -> Callable[[int], float]:
        def run(seed: int) -> float:
            seconds, value = pyflow_run(many, count, seed, cpus, batch, store=store, width=width)
            assert value == [n + seed for n in range(count)]
            return seconds

        return run

    def chained(seed: int) -> float:
        seconds, value = pyflow_run(chain, 10, seed, store=store)
        assert value == seed + 9
        return seconds

    return {
        "one": (1, mapped(1, 1), lambda: docker_runs(image, 1, 1)),
        "2 wide": (12, mapped(12, 2), lambda: docker_runs(image, 12, 2)),
        "8 wide": (24, mapped(24, 8, cpus=os.cpu_count() / 8), lambda: docker_runs(image, 24, 8)),
        "chain of 10": (10, chained, lambda: docker_runs(image, 10, 1)),
        "100 small tasks": (100, mapped(100, 2), lambda: docker_runs(image, 100, 2)),
        "100 small tasks, batch=50": (100, mapped(100, 2, 50), lambda: docker_runs(image, 2, 2)),
    }


def compare(image: str, store: str, rounds: int, wanted: list[str]) -> dict[str, dict[str, float]]:
    """Seconds and ratios of each kind of work."""
    figures = {}
    for name, (count, ours, theirs) in cases(image, store).items():
        if wanted and not any(word in name for word in wanted):
            continue
        pairs = [(ours(seed), theirs()) for seed in range(rounds)]
        figures[name] = {
            "tasks": count,
            "pyflow_s": statistics.median(one for one, _ in pairs),
            "docker_run_s": statistics.median(other for _, other in pairs),
            "ratio": statistics.median(one / other for one, other in pairs),
        }
        line = figures[name]
        print(f"{name:28} {line['pyflow_s']:7.2f} s {line['docker_run_s']:7.2f} s {line['ratio']:6.2f} x", flush=True)
    return figures


def entry(image: str, store: str, count: int = 10) -> tuple[float, float]:
    """Median seconds from the making of a container's process to the first line of the function, and to that of a bare shell.

    One at a time, in turns. The engine makes the process, then mounts, network and limits around it, and then lets it
    execute the entry point: the second figure is that part, which is none of the entry point's.
    """
    ours, bare = [], []
    for _ in range(count):
        ours += pyflow_run(entries, 1, store=store, width=1)[1]
        command = ["docker", "run", "--rm", "--network", "host", "--entrypoint", "sh", image, "-c", BARE]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        bare.append(float(words[0]) - int(words[20]) / os.sysconf("SC_CLK_TCK"))
    return statistics.median(ours), statistics.median(bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--s3", help="a store in a bucket, to start tasks from, too")
    parser.add_argument("--only", action="append", default=[], help="a part of the name of a kind of work")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    engine = open_engine()
    image = ensure_runtime_image(engine)
    about = engine.api.inspect_image(image)
    base = engine.api.inspect_image(about["Config"]["Labels"]["pyflow.base"])
    size = {"image_mb": about["Size"] / 1e6, "over_base_mb": (about["Size"] - base["Size"]) / 1e6}
    print(f"image {size['image_mb']:.0f} MB, {size['over_base_mb']:.1f} MB over its base (limit {SIZE_LIMIT_MB})")
    with tempfile.TemporaryDirectory() as folder:
        pyflow_run(many, 1, 0, None, 1, store=folder)
        started = {}
        for name, store in (("folder", folder), ("s3", arguments.s3)):
            if store:
                whole, bare = entry(image, store)
                started |= {f"{name}_s": whole - bare, f"{name}_with_engine_s": whole}
                print(
                    f"entry to first line, {name}: {whole - bare:.3f} s (limit {ENTRY_LIMIT_S} for a folder); "
                    f"{whole:.3f} s since the engine made the process"
                )
        figures = compare(image, folder, arguments.rounds, arguments.only)
    if arguments.json:
        text = json.dumps({"python": sys.version.split()[0], "size": size, "entry": started, "work": figures}, indent=1)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
