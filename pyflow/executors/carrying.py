"""One run from its first event to its summary, on executors that schedule for themselves."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from pyflow.artifacts import keep
from pyflow.contract import ExitCode, Outcome
from pyflow.errors import StoreError, add_note
from pyflow.executors.driver import Driver, Ending, Failure, Job
from pyflow.executors.interrupts import Interrupts
from pyflow.executors.launcher import Launcher
from pyflow.runs import ExitOutcome, Journal, RunSummary, Status
from pyflow.runtime import EXIT_SLOT
from pyflow.store import BlobStore

_SYNC_INTERVAL_S: Final = 1.0
"""A power cut loses no more than this of what a run has committed (docs/design)."""


def carry_out(job: Job, launcher: Launcher, interrupts: Interrupts) -> Ending:
    """Carry a job out with a launcher, which is closed at the end, and write down how it ended.

    Raises:
        StoreError: The store stopped taking what must be kept; the tasks that ran are ended.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
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
    except BaseException as error:
        launcher.close()
        _close_after(error, job, journal, time.monotonic() - began)
        raise
    launcher.close()
    ending.is_interrupted = interrupts.count > 0
    _close(job, journal, ending, time.monotonic() - began)
    return ending


def _close(job: Job, journal: Journal, ending: Ending, duration_s: float) -> None:
    """Write down how the run ended, when the disk has all that came before."""
    _note(job, journal, "run-ended", status=status_of(ending))
    journal.flush()
    job.content.blobs.flush()
    _summary(job, ending, duration_s).write(job.content)
    job.content.blobs.flush()


def _close_after(error: BaseException, job: Job, journal: Journal, duration_s: float) -> None:
    """The run was broken off: say so in the store, if it still takes anything."""
    ending = Ending(is_cancelled=isinstance(error, KeyboardInterrupt))
    try:
        _close(job, journal, ending, duration_s)
    except StoreError as another:
        add_note(error, f"The end of run {job.run_id} could not be written down either: {another}")


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
    """Within the block, let the disk have what was committed once a second.

    Raises:
        StoreError: The disk did not take it.
    """
    stop = threading.Event()
    errors: list[StoreError] = []

    def sync() -> None:
        while not errors and not stop.wait(_SYNC_INTERVAL_S):
            try:
                blobs.flush()
            except StoreError as error:
                errors.append(error)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]
