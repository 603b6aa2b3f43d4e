"""What is written for others to read, byte for byte: a change shows as a diff.

``PYFLOW_TEST_UPDATE=1 pytest tests/golden`` writes the files anew; look at the diff, and raise the version of a format
that older readers would misread.
"""

from __future__ import annotations

import json
import os
import re
from itertools import count
from pathlib import Path
from typing import NamedTuple

from pyflow import each, first_of, otherwise, pipeline, steps, task, when
from pyflow.contract import ErrorRecord, LogSpan, Outcome
from pyflow.packed import PackedGraph
from pyflow.packing import pack
from pyflow.runs import Journal, RunRecord, RunSummary
from pyflow.store import ContentStore, Keys, Trust, open_blobs

FOLDER = Path(__file__).parent


class Pair(NamedTuple):
    left: object
    right: object


@task()  # without brackets, Python 3.10 counts the line below
def load(path): ...


@task(cpus=2, memory="2Gi", retries=2, backoff="2s", retry_on=ConnectionError, timeout="30m", env={"A": "b"})
def fit(x, *, lr, table=None): ...


@task(outputs=2)
def split(models): ...


@task()
def report(outcome): ...


@pipeline
def per_scene(scene, *, factor):
    return fit(scene["x"], lr=factor)


@pipeline(on_exit=report, parallelism=4, fail_fast=False)
def everything(path, lrs):
    data = load(path)
    models = fit.with_options(batch=2).map(data["items"], lr=each(lrs), table={"all": data})
    again = fit.map(models, lr=0.5)
    scenes = per_scene.map(load.map(["a", "b"]), factor=data.factor)
    best, rest = split([*[models], Pair(again, {1: scenes})])
    with when((best > 0.9) & ~(rest == "none")):
        taken = load.with_options(name="publish")(best)
    with otherwise():
        with steps():
            load(rest)
            left = load("x" * 20_000)
    return {"chosen": first_of(taken, left, default=None), "pair": (best, b"bytes"), "known": [1, None, 2.5, "text"]}


def content():
    """A store whose records are signed with the same key each time."""
    key_file = Path("key")
    key_file.write_text("5a" * 32)
    return ContentStore(open_blobs("memory://golden"), Keys("project", "owner"), Trust(str(key_file.absolute())))


def without_what_differs(wire):
    """The wire without what depends on the machine and the Python: pickles, fingerprints, folders, digests of those."""
    text = json.dumps(wire, indent=1)
    text = re.sub(r'"(inline|digest)": "[^"]*"', r'"\1": "…"', text)
    text = re.sub(r'"fingerprint": "[^"]+"', '"fingerprint": "…"', text)
    text = re.sub(r'"python": "3\.\d+"', '"python": "3.x"', text)
    text = text.replace(str(FOLDER), "…")
    return text + "\n"


def check(name, text):
    """Compare with the file, or write it."""
    file = FOLDER / name
    if os.environ.get("PYFLOW_TEST_UPDATE"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), f"{name} differs; PYFLOW_TEST_UPDATE=1 writes it anew"


def test_packed_graph():
    """A graph with every kind of node and expression; reading it gives the same graph."""
    store = content()
    graph = pack(everything.trace("scenes.csv", [0.1, 0.2]), store).graph
    data = graph.to_bytes()
    assert PackedGraph.from_bytes(data).to_bytes() == data
    check("packed_graph.json", without_what_differs(json.loads(data)))


def test_outcomes():
    """A result with facts and a log, and a failure."""
    made = Outcome(
        slot="3.1", attempt=2, nonce="abc", exit_code=0, result={"json": 5}, facts=[True, {"kind": "sequence", "items": [], "length": 0}],
        started_at=1795455012.25, duration_s=0.5, cpu_s=0.25, peak_memory_bytes=1 << 20, log=LogSpan(writer="w1", start=3, end=9),
        preview="5", fingerprint="f", environment="3.11",
    )  # fmt: skip
    error = ErrorRecord(
        type="ValueError", message="no", traceback="Traceback …", frames=[["a.py", 3, "f"]], pickled=None
    )
    failed = Outcome(
        slot="4", attempt=1, nonce="x", exit_code=70, error=error, started_at=1795455012.25, duration_s=0.0
    )
    for outcome in (made, failed):
        assert Outcome.from_wire(json.loads(outcome.to_bytes())) == outcome
    check("outcomes.json", "".join(json.dumps(json.loads(o.to_bytes()), indent=1) + "\n" for o in (made, failed)))


def test_events_and_records():
    """The lines of a journal, the record of a run and its summary."""
    store, times = content(), count(1795455012)
    journal = Journal(store, "r1", now=lambda: next(times))
    journal.add("run-started")
    journal.add("started", slot="3.1", attempt=1, worker="w1")
    journal.add("ended", slot="3.1", attempt=1, status="succeeded", duration_s=0.5, log=["w1", 0, 9])
    journal.add("started", slot="3.2", attempt=1, worker="w1")
    journal.flush()
    journal.add("ended", slot="3.2", attempt=1, status="succeeded", duration_s=0.5)
    journal.add("skipped", slot="4")
    journal.add("run-ended", status="succeeded")
    journal.flush()
    RunRecord(
        run_id="r1", pipeline="p", executor="local", graph_digest="0" * 64, graph_size=10, started_at=1795455012.25,
        pyflow_version="0", python="3.11.7", host="here", pid=5, pid_started="7", arguments="'x'",
    ).write(store)  # fmt: skip
    RunSummary(run_id="r1", status="succeeded", ended_at=1795455013.25, duration_s=1.0, counts={"succeeded": 1}).write(
        store
    )
    check("events.jsonl", bytes(store.blobs.read_log(store.keys.events("r1", "driver"))).decode())
    check("run.json", store.blobs.get(store.keys.run_info("r1")).decode() + "\n")
    check("summary.json", store.blobs.get(store.keys.summary("r1")).decode() + "\n")
