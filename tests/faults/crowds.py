"""Whole pipelines with faults on the way to their bucket, and a server that is killed and restarted under load."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import uuid
from pathlib import Path

from faults.places import KEYS, entered
from faults.proxy import BUSY, OF_BODIES, running_faults
from faults.table import Table
from servers import BUCKET, Server, free_ports, start_seaweed, wait_for

from pyflow import pipeline, task
from pyflow.errors import PyflowError
from pyflow.store import ContentStore
from pyflow.store.s3 import Patience, S3Blobs


@task
def square(x: int) -> int:
    print("squaring", x)
    return x * x


@task
def wide(x: int) -> bytes:
    return x.to_bytes(2, "big") * 10_000


@task
def total(squares: list[int], blobs: list[bytes]) -> int:
    return sum(squares) + sum(map(len, blobs))


@pipeline
def crowd(n: int):
    return total(square.map(range(n)), wide.map(range(n // 4)))


ITEMS = 24


def try_pipelines(table: Table, server: Server, store: str, count: int, seed: int) -> None:
    """Run pipelines on ``local`` while one request in ten is struck, until there were so many faults."""
    expected = sum(x * x for x in range(ITEMS)) + ITEMS // 4 * 20_000
    with running_faults(server) as (proxy, plan):
        plan.dice = random.Random(f"{seed} pipelines {store}")
        plan.kinds = (*BUSY, *OF_BODIES, "reset before", "reset after")
        while sum(plan.fired.values()) < count:
            url, before = f"s3://{BUCKET}/{uuid.uuid4().hex}", sum(plan.fired.values())
            plan.rate = 0.1
            why = ""
            with entered(proxy):
                run = crowd.with_options(executor="local", store=url, progress=False).submit(ITEMS)
                try:
                    if run.result() != expected:
                        why = "a wrong result"
                except Exception as error:
                    why = f"{type(error).__name__}: {error}"
                plan.rate = 0.0
            struck = sum(plan.fired.values()) - before
            with entered(server):
                why = why or _problem(run, S3Blobs(url))
            table.add("one request in ten of a whole run", store, why and f"run of seed {seed}: {why}", count=struck)


def _problem(run, blobs: S3Blobs) -> str:
    lines = sorted(run.logs("square").splitlines())
    if lines != sorted(f"squaring {x}" for x in range(ITEMS)):
        return f"the log has {lines}"
    slots = [slot for slot, _ in blobs.records(run._content.keys.commits(run.id))]
    wanted = ITEMS + ITEMS // 4 + 1
    return "" if len(slots) == len(set(slots)) == wanted else f"{len(slots)} commits of {wanted} slots"


def try_restarts(table: Table, store: str, folder: Path, count: int, seed: int) -> None:
    """Kill the server and start it again, so many times, while eight threads commit results to it."""
    ports = free_ports(8)
    process = start_seaweed(folder, ports)
    server = Server(ports[0])
    wait_for(server, process, folder / "log")
    dice = random.Random(f"{seed} restarts")
    told: dict[str, tuple[str, int, bytes]] = {}
    failed: list[str] = []
    stop = threading.Event()
    try:
        with entered(server):
            url = f"s3://{BUCKET}/restarts"
            threads = [threading.Thread(target=_load, args=(url, me, told, failed, stop)) for me in range(8)]
            for thread in threads:
                thread.start()
            for _ in range(count):
                time.sleep(0.5 + dice.random())
                process.kill()
                process.wait()
                time.sleep(dice.random() * 0.3)
                process = start_seaweed(folder, ports)
                wait_for(server, process, folder / "log")
            stop.set()
            for thread in threads:
                thread.join()
            why = "; ".join(failed[:3]) or _lost(url, told)
    finally:
        stop.set()
        process.kill()
        process.wait()
    table.add("server killed and restarted under load", store, why, count=count)


def _load(url: str, me: int, told: dict[str, tuple[str, int, bytes]], failed: list[str], stop: threading.Event) -> None:
    # As patient as pyflow is: on a machine with much else to do the server takes its time to come back.
    content, number = ContentStore(S3Blobs(url, patience=Patience(contact_s=600)), KEYS), 0
    while not stop.is_set():
        slot, number = f"{me}.{number}", number + 1
        try:
            digest = content.put_blob([f"{slot} ".encode() * 3000])
            record = b'{"slot":"%s"}' % slot.encode()
            held = content.blobs.commit(KEYS.commits("r1"), slot, record)
            told[slot] = (digest.hex, digest.size_bytes, held)
            if held != record:
                failed.append(f"{slot}: told {held!r}")
        except PyflowError as error:
            failed.append(f"{slot}: {type(error).__name__}: {error}")


def _lost(url: str, told: dict[str, tuple[str, int, bytes]]) -> str:
    """What was told to be there and is not."""
    content = ContentStore(S3Blobs(url), KEYS)
    held = dict(content.blobs.commits(KEYS.commits("r1")))
    for slot, (digest, size, record) in told.items():
        if held.get(slot) != record:
            return f"slot {slot} holds {held.get(slot)!r}, and {record!r} was told"
        with contextlib.suppress(PyflowError):
            if bytes(content.read_blob(digest, size)) == f"{slot} ".encode() * 3000:
                continue
        return f"the result of {slot} is gone"
    return "" if told else "nothing was committed at all"
