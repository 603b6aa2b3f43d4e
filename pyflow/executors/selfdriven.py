"""The executors that schedule for themselves: the same driver, and a launcher for each place."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from pyflow.artifacts import keep
from pyflow.contract import ExitCode, Outcome
from pyflow.executors.driver import Driver, Ending, Failure, Job
from pyflow.executors.inprocess import InprocessLauncher
from pyflow.executors.interrupts import Interrupts, counted_interrupts
from pyflow.executors.launcher import Launcher
from pyflow.executors.local.launcher import PoolLauncher
from pyflow.executors.local.worker import Kind
from pyflow.executors.support import check_containers, check_options, check_size, machine_cpus, machine_memory_mib
from pyflow.packed import PackedGraph
from pyflow.runs import ExitOutcome, Journal, RunSummary, Status
from pyflow.runtime import EXIT_SLOT
from pyflow.scheduling import Capacity
from pyflow.store import BlobStore

_SYNC_INTERVAL_S: Final = 1.0
"""A power cut loses no more than this of what a run has committed (design: durability)."""


@dataclass(frozen=True, slots=True)
class InprocessExecutor:
    """Tasks run in the caller's process, one after the other."""

    name: str = "inprocess"

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs."""
        check_containers(graph, self.name)
        check_options(graph, self.name)

    def run(self, job: Job) -> Ending:
        """Carry the run out; returns when nothing of it runs any more."""
        job = replace(job, capacity=Capacity(cpus=float("inf"), tasks=1))
        with counted_interrupts() as interrupts:
            return _carry_out(job, InprocessLauncher(job.content, interrupts), interrupts)


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """Tasks run in a pool of worker processes of this machine."""

    name: str = "local"

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs."""
        check_containers(graph, self.name)
        check_size(graph, cpus=machine_cpus(), memory_mib=machine_memory_mib())
        check_options(graph, self.name)

    def run(self, job: Job) -> Ending:
        """Carry the run out; returns when nothing of it runs any more."""
        tasks = min(job.capacity.tasks, job.graph.parallelism or float("inf"))
        job = replace(job, capacity=Capacity(cpus=machine_cpus(), memory_mib=machine_memory_mib(), tasks=tasks))
        code = job.graph.code["digest"] if job.graph.code is not None else ""
        kind = Kind(code, os.getcwd(), dict(os.environ))
        with counted_interrupts() as interrupts:
            return _carry_out(job, PoolLauncher(kind, job.content, room=int(min(machine_cpus(), tasks))), interrupts)


def _carry_out(job: Job, launcher: Launcher, interrupts: Interrupts) -> Ending:
    journal = Journal(job.content, job.run_id)
    asked = job.is_cancel_requested
    job = replace(job, is_cancel_requested=lambda: interrupts.count > 0 or asked())
    began = time.monotonic()
    _note(job, journal, "run-started")
    try:
        with _synced(job.content.blobs):
            ending = Driver(job, launcher, journal).run()
            if job.graph.on_exit is not None:
                _run_exit_handler(job, launcher, journal, ending, time.monotonic() - began)
    finally:
        launcher.close()
    ending.is_interrupted = interrupts.count > 0
    _note(job, journal, "run-ended", status=status_of(ending))
    journal.flush()
    _summary(job, ending, time.monotonic() - began).write(job.content)
    job.content.blobs.flush()
    return ending


def status_of(ending: Ending) -> Status:
    """The status of a run that ended so."""
    if ending.is_cancelled:
        return "cancelled"
    return "succeeded" if ending.is_success else "failed"


def _note(job: Job, journal: Journal, event: str, **details: Any) -> None:
    noted = journal.add(event, **details)
    for watcher in job.watchers:
        watcher.on_event(noted)


def _run_exit_handler(job: Job, launcher: Launcher, journal: Journal, ending: Ending, duration_s: float) -> None:
    """Give the outcome of the run to its exit handler; a handler that fails makes the run a failed one."""
    assert job.graph.on_exit is not None
    failures = tuple((f.name, f.error.type, f.error.message) for f in in_trace_order(ending.failures))
    told = ExitOutcome(
        run_id=job.run_id,
        pipeline=job.graph.name,
        status=status_of(ending),
        duration_s=round(duration_s, 3),
        failures=failures,
    )
    outcome = Outcome(
        slot=EXIT_SLOT,
        attempt=1,
        nonce="",
        exit_code=int(ExitCode.COMMITTED),
        result=keep(told, job.content, what="the outcome of the run"),
        started_at=time.time(),
        duration_s=0.0,
    )
    job.content.blobs.commit(job.content.keys.commits(job.run_id), EXIT_SLOT, outcome.to_bytes())
    handled = Driver(job, launcher, journal).run_one(job.graph.on_exit)
    ending.failures += handled.failures
    ending.is_success = ending.is_success and handled.is_success
    ending.counts = dict(Counter(ending.counts) + Counter(handled.counts))


def in_trace_order(failures: list[Failure]) -> list[Failure]:
    """Failures in the order in which the pipeline called their tasks, items of a map in theirs."""
    return sorted(failures, key=lambda failure: tuple(map(int, failure.slot.split("."))))


def _summary(job: Job, ending: Ending, duration_s: float) -> RunSummary:
    failures = in_trace_order(ending.failures)[:20]
    return RunSummary(
        run_id=job.run_id,
        status=status_of(ending),
        ended_at=time.time(),
        duration_s=round(duration_s, 4),
        counts=ending.counts,
        failures=[[f.slot, f.name, f.error.type, f.error.message[:2000]] for f in failures],
    )


@contextlib.contextmanager
def _synced(blobs: BlobStore) -> Iterator[None]:
    """Within the block, let the disk have what was committed once a second."""
    stop = threading.Event()

    def sync() -> None:
        while not stop.wait(_SYNC_INTERVAL_S):
            blobs.flush()

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
