#!/usr/bin/env python3
"""Packages for a task beside the image that somebody would build for it: `docker build` with pip, of the same list.

    python benchmarks/packages.py                   # two or three minutes, with a package index and a Docker engine
    python benchmarks/packages.py --no-docker

It runs with a Python that has pyflow. Both start with empty caches of pip, uv and Docker's builder; what the index sends is the
same for both. Seconds depend on the machine and its line, the ratio less so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyflow.environments import build, environments_folder, locked, read_request, this_target, unpacked
from pyflow.environments.archive import write_archive
from pyflow.environments.resolve import install
from pyflow.environments.tree import tidy
from pyflow.store import ContentStore, Keys, open_blobs

PACKAGES = ("numpy", "pandas", "scikit-learn")
BASE = "python:{minor}-slim"


def main() -> None:
    """Measure, and print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-docker", action="store_true", help="leave docker build out")
    parser.add_argument("--base", default=BASE.format(minor=this_target().python), help="base of the image")
    parser.add_argument("--store", help="URL of a store; otherwise a folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyflow-bench-") as folder:
        ours = measure_ours(Path(folder), options.store or f"{folder}/store")
        theirs = None if options.no_docker else measure_docker(Path(folder) / "image", options.base)
    if theirs is not None:
        print(f"{'first use, ours / docker build':40} {ours / theirs:8.2f} ×")


def step(name: str, do: Callable[[], object]) -> float:
    """Do it, and say how long it took."""
    started = time.perf_counter()
    do()
    took = time.perf_counter() - started
    print(f"{name:40} {took:8.2f} s", flush=True)
    return took


def measure_ours(folder: Path, store: str) -> float:
    """All steps one by one, then as a user meets them; the answer is how long the first use takes."""
    for name in ("uv", "cache", "steps"):
        (folder / name).mkdir()
    os.environ |= {"UV_CACHE_DIR": str(folder / "uv"), "XDG_CACHE_HOME": str(folder / "steps")}
    content = ContentStore(open_blobs(store), Keys("benchmark", "packages"))
    request = read_request(PACKAGES, [folder], "benchmark")
    target = this_target()
    tree, archive = folder / "tree", folder / "archive"
    step("choose", lambda: locked(request, target))
    lock = locked(request, target)
    step("install, with downloads", lambda: install(lock, request, tree))
    tidy(tree)

    def pack() -> None:
        with archive.open("wb") as file:
            write_archive(tree, file)

    step("pack", pack)
    print(f"{'archive':40} {archive.stat().st_size / 2**20:8.1f} MiB")
    step("upload", lambda: content.put_blob([archive.read_bytes()]))

    # What the steps have filled is emptied, so that the first use is one.
    os.environ |= {"UV_CACHE_DIR": str(folder / "uv-again"), "XDG_CACHE_HOME": str(folder / "cache")}
    fresh = ContentStore(open_blobs(f"{store}-again"), Keys("benchmark", "packages"))
    wire: list[dict] = []
    first = step("first use: all of it", lambda: wire.append(build(request, target, fresh).wire))
    first += step("unpack on a host", lambda: unpacked(wire[0], fresh, environments_folder()))
    step("second use: ask and unpack", lambda: unpacked(build(request, target, fresh).wire, fresh))
    changed = read_request([*PACKAGES, "humanize"], [folder], "benchmark")
    step("one package more", lambda: wire.append(build(changed, target, fresh).wire))
    step("unpack that on a host", lambda: unpacked(wire[1], fresh))
    return first


def measure_docker(folder: Path, base: str) -> float | None:
    """How long an image with the same packages takes to build from a base that is there already."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN pip install --no-cache-dir {' '.join(PACKAGES)}\n")
    if subprocess.run(["docker", "image", "inspect", base], capture_output=True, check=False).returncode:
        print(f"docker build left out: there is no image {base} here")
        return None
    tag = "pyflow-bench-packages"
    command = ["docker", "build", "--quiet", "--no-cache", "--network", "host", "--tag", tag, str(folder)]
    failed: list[str] = []

    def run() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failed.extend([done.stderr[-500:]] if done.returncode else [])

    took = step("docker build with pip", run)
    subprocess.run(["docker", "image", "rm", tag], capture_output=True, check=False)
    if failed:
        print(f"docker build failed: {failed[0]}")
        return None
    return took


if __name__ == "__main__":
    main()
