"""What executors owe to who watches: handles, states, events, and the same answers in another process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

from pyflow.api import Run, list_runs, load_run, pipeline
from pyflow.errors import NotFoundError, RunCancelledError
from pyflow.runs import ENDED
from pyflow.store import open_blobs
from pyflow.testing.claims import holds, raises, same
from pyflow.testing.stage import Stage
from pyflow.tracing import task


@task
def add(x: int, y: int = 1) -> int:
    print("adding", x, y)
    return x + y


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def blow_up(size: int) -> bytes:
    return bytes(size)


@task
def boom(text: str) -> Any:
    raise ValueError(text)


@task
def sleep(seconds: float) -> float:
    print("sleeping", flush=True)
    time.sleep(seconds)
    return seconds


@pipeline
def sums(n: int) -> Any:
    many = add.map(range(n), y=5)
    return {"total": total(many), "many": many}


_LOOK = """
import json, sys
from pyflow import load_run
run = load_run(sys.argv[1], sys.argv[2])
try:
    value = run.result()
except Exception as error:
    value = [type(error).__name__, str(error)]
nodes = {name: [node.status, node.attempts] for name, node in run.nodes.items()}
print(json.dumps([run.status, value, nodes, run.logs()]))
"""


def another_process_sees_the_same(stage: Stage) -> None:
    """``load_run`` in another process gives status, result, nodes and logs as here; for a run that failed its error."""

    @pipeline
    def failing() -> Any:
        return boom("told elsewhere")

    for run, value in (
        (stage.finish(sums, 3), {"total": 18, "many": [5, 6, 7]}),
        (stage.finish(failing), ["ValueError", "told elsewhere"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", _LOOK, run.id, stage.store], capture_output=True, text=True, check=False, timeout=60
        )
        holds(done.returncode == 0, done.stderr)
        nodes = {name: [node.status, node.attempts] for name, node in run.nodes.items()}
        same(json.loads(done.stdout), [run.status, value, nodes, run.logs()], "what the other process sees")


def results_of_nodes_can_be_read(stage: Stage) -> None:
    """A node's result by its name, an item's by name or index, a whole map's as a list; unknown names are told."""
    run = stage.finish(sums, 3)
    same(run.result("total"), 18, "a node")
    same((run.result("add", 1), run.result("add[2]"), run.result("add")), (6, 7, [5, 6, 7]), "items and the map")
    raises(NotFoundError, lambda: run.result("totl"), "totl", "Did you mean 'total'?")
    raises(NotFoundError, lambda: run.logs("nothing"), "nothing")
    raises(NotFoundError, lambda: load_run("20260101-000000-none-abcdef", stage.store), "20260101-000000-none-abcdef")


def nodes_tell_how_they_ended(stage: Stage) -> None:
    """Each node has a status, attempts, times, and the number of its items."""
    before = time.time()
    run = stage.finish(sums, 4)
    node = run.nodes["add"]
    same((run.status, list(run.nodes)), ("succeeded", ["add", "total"]), "the status and the nodes")
    same((node.status, node.attempts, node.count, node.counts()), ("succeeded", 4, 4, {"succeeded": 4}), "the map")
    holds(node.duration_s is not None and 0 < node.duration_s < 60, "it has a duration")
    holds(node.started_at is not None and before - 1 < node.started_at <= time.time(), "it has a start")
    summary = run.summary
    same(summary is not None and (summary.status, summary.counts), ("succeeded", {"succeeded": 5}), "the summary")


def events_tell_the_story(stage: Stage) -> None:
    """Events begin with the run's start and end with its end; each start of a task has an end, in that order."""
    events = list(stage.finish(sums, 3).events())
    kinds = [event["event"] for event in events]
    same(
        (kinds[0], kinds[-1], kinds.count("run-started"), kinds.count("run-ended")),
        ("run-started", "run-ended", 1, 1),
        "ends",
    )
    started = [e["slot"] for e in events if e["event"] == "started"]
    same(sorted(started), sorted(e["slot"] for e in events if e["event"] == "ended"), "slots that started and ended")
    same(len(set(started)), 4, "the slots")
    holds(all(a["at"] <= b["at"] for a, b in pairwise(events)), "times never go back")


def artifacts_have_sizes(stage: Stage) -> None:
    """An artifact says where its bytes are and how many, whether they ride in the record or lie in the store."""

    @pipeline
    def making() -> Any:
        return blow_up(100), blow_up(1_000_000)

    run = stage.finish(making)
    small, large = run.artifact("blow_up"), run.artifact("blow_up-2")
    holds(100 <= small.size_bytes < 1000 and 1_000_000 <= large.size_bytes < 1_010_000, f"the sizes: {small}, {large}")
    same((small.load(), large.load()), (bytes(100), bytes(1_000_000)), "the values")
    raises(NotFoundError, lambda: run.artifact("blow_down"), "blow_down")


def an_artifact_goes_into_another_run(stage: Stage) -> None:
    """The result of a node, or of an item, of an earlier run is an argument like its value."""
    run = stage.finish(sums, 3)

    @pipeline
    def later(x: Any, xs: Any) -> Any:
        return add(x), add.map(xs), total(xs)

    found = stage.run(later, run.artifact("add", 1), [run.artifact("total"), 1])
    same(found, (7, [19, 2], 19), "the result")


def equal_results_are_kept_once(stage: Stage) -> None:
    """Two tasks with equal large results share one blob."""

    @pipeline
    def making() -> Any:
        return blow_up.map([1_000_000, 1_000_000])

    stage.finish(making)
    large = [
        info.key
        for info in open_blobs(stage.store).list("v1")
        if "/blobs/" in info.key and info.size_bytes >= 1_000_000
    ]
    same(len(large), 1, f"the number of large blobs in {large}")


def a_submitted_run_is_a_handle(stage: Stage) -> None:
    """``submit`` gives a run that can be waited for, also by several; its result can be asked for again and again."""
    run = stage.start(sums, 2)
    same(run.wait(3 * stage.patience_s), "succeeded", "the status")
    same([run.result()["total"], load_run(run.id, stage.store).result()["total"]], [11, 11], "the results")
    same([r.id for r in list_runs(stage.store)], [run.id], "the runs that are listed")
    holds(run.id in repr(run) and "succeeded" in repr(run), "the repr says id and status")


def a_running_run_can_be_watched(stage: Stage) -> None:
    """While a run goes on its status is running, and its log can be followed line by line to the end."""
    stage.asks("has_processes")

    seen = stage.sign()

    @task
    def watched() -> bool:
        print("begun", flush=True)
        return seen.wait()

    @pipeline
    def slow() -> Any:
        return watched()

    run = stage.start(slow)
    same((run.wait(0.01), run.status), ("running", "running"), "the status meanwhile")
    lines = iter(run.logs(follow=True))
    same(next(lines, None), "begun", "the first line")
    seen.give()
    same((list(lines), run.result()), ([], True), "the lines behind it, and whether it was read while the task ran")
    same(run.wait(stage.patience_s), "succeeded", "the status then")


def a_run_can_be_cancelled(stage: Stage) -> None:
    """Who cancels ends what runs; what had finished is kept; the result is RunCancelledError; twice is as good as once."""
    stage.asks("has_processes")

    @pipeline
    def long() -> Any:
        done = add(1)
        return total([done, sleep.after(done)(60)])  # type: ignore[list-item]

    run = stage.start(long)
    _until_running(stage, run, "sleep")
    _until_printed(stage, run, "sleep")
    load_run(run.id, stage.store).cancel()
    run.cancel()
    same(run.wait(stage.patience_s), "cancelled", "the status")
    raises(RunCancelledError, run.result, run.id)
    same(run.result("add"), 2, "what had finished")
    states = {name: node.status for name, node in run.nodes.items()}
    same(states, {"add": "succeeded", "sleep": "cancelled", "total": "cancelled"}, "states")
    same(run.logs("sleep"), "sleeping\n", "what it had printed")
    run.cancel()
    same(run.status, "cancelled", "the status after another request")


def a_run_that_has_ended_stays_as_it_is(stage: Stage) -> None:
    """Cancelling a run that has ended changes nothing."""
    run = stage.finish(sums, 1)
    run.cancel()
    same((run.status, run.result()["total"]), ("succeeded", 5), "status and result")


def runs_in_threads_do_not_mix(stage: Stage) -> None:
    """Several runs of one process at once give each its own result."""
    stage.asks("has_processes")
    runs = [stage.start(sums, n) for n in range(4)]
    same([run.wait(3 * stage.patience_s) for run in runs], ["succeeded"] * 4, "states")
    same([run.result()["total"] for run in runs], [0, 5, 11, 18], "results")
    same(len({run.id for run in runs}), 4, "the number of ids")


def _until_printed(stage: Stage, run: Run, node: str) -> None:
    """Wait until what a task prints can be read: where it runs may take a while to start after it is said to run."""
    end = time.monotonic() + min(stage.patience_s, 20)
    while not run.logs(node) and time.monotonic() < end:
        time.sleep(0.05)


def _until_running(stage: Stage, run: Run, node: str) -> None:
    end = time.monotonic() + stage.patience_s
    while run.nodes[node].status != "running":
        holds(run.status not in ENDED and time.monotonic() < end, f"{node} starts")
        time.sleep(0.02)


LAWS = (
    another_process_sees_the_same,
    results_of_nodes_can_be_read,
    nodes_tell_how_they_ended,
    events_tell_the_story,
    artifacts_have_sizes,
    an_artifact_goes_into_another_run,
    equal_results_are_kept_once,
    a_submitted_run_is_a_handle,
    a_running_run_can_be_watched,
    a_run_can_be_cancelled,
    a_run_that_has_ended_stays_as_it_is,
    runs_in_threads_do_not_mix,
)
