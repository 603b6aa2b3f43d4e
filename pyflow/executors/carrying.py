"""One run from its first event to its summary, on executors that schedule for themselves."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Final

from pyflow.artifacts import keep
from pyflow.contract import ExitCode, Outcome, parse_slot
from pyflow.errors import StoreError
from pyflow.executors.driver import Driver, Ending, Failure, Job, note
from pyflow.executors.interrupts import Interrupts
from pyflow.executors.launcher import Launcher
from pyflow.failpoints import reached
from pyflow.runs import Event, ExitOutcome, Journal, RunSummary, Status
from pyflow.runtime import EXIT_SLOT

_SYNC_INTERVAL_S: Final = 0.75
"""With a quarter of a second for the disk, a power cut loses no more than the last second of a run
(docs/design/durability.md)."""


def carry_out(job: Job, launcher: Launcher, interrupts: Interrupts) -> Ending:
    """Carry a job out with a launcher, which is closed at the end, and write down how it ended.

    Raises:
        StoreError: The store stopped taking what must be kept; the tasks that ran are ended.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    journal = Journal(job.content, job.run_id)
    asked = job.is_cancel_requested
    began = time.monotonic()
    note(job, journal, "run-started")
    syncer = _Syncer(job)
    job = replace(job, is_cancel_requested=lambda: interrupts.count > 0 or asked(), watchers=(*job.watchers, syncer))
    try:
        try:
            driver = Driver(job, launcher, journal)
            ending = driver.run()
            if job.graph.on_exit is not None:
                _run_exit_handler(job, driver, ending, time.monotonic() - began)
        finally:
            launcher.close()
        ending.is_interrupted, ending.is_to_end = interrupts.count > 0, interrupts.is_to_end
        _close(job, journal, ending, time.monotonic() - began)
    finally:
        syncer.close()
    return ending


def _close(job: Job, journal: Journal, ending: Ending, duration_s: float) -> None:
    """Write down how the run ended, when the disk has all that came before."""
    note(job, journal, "run-ended", status=status_of(ending))
    reached("events.before")
    journal.flush()
    journal.seal()
    job.content.blobs.flush()
    reached("events.after")
    reached("summary.before")
    _summary(job, ending, duration_s).write(job.content)
    reached("summary.after")


def status_of(ending: Ending) -> Status:
    """The status of a run that ended so."""
    if ending.is_cancelled:
        return "cancelled"
    return "succeeded" if ending.is_success else "failed"


def _run_exit_handler(job: Job, driver: Driver, ending: Ending, duration_s: float) -> None:
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
    job.content.commits(job.run_id, job.graph_digest).commit(EXIT_SLOT, outcome.to_bytes())
    handled = driver.run_one(job.graph.on_exit)
    ending.failures += handled.failures
    ending.is_success = ending.is_success and handled.is_success
    ending.counts = dict(Counter(ending.counts) + Counter(handled.counts))


def in_trace_order(failures: list[Failure]) -> list[Failure]:
    """Failures in the order in which the pipeline called their tasks, items of a map in theirs."""
    return sorted(failures, key=lambda failure: parse_slot(failure.slot))


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


class _Syncer:
    """Lets the disk have what was committed, once a second, while a run goes on, and at the end the summary.

    In a thread, since tasks may run in the one that drives. The thread costs a tenth of a millisecond.
    """

    def __init__(self, job: Job) -> None:
        self._run_id = job.run_id
        self._blobs = job.content.blobs
        self._stop = threading.Event()
        self._errors: list[StoreError] = []
        self._thread = threading.Thread(target=self._sync, daemon=True)
        self._thread.start()

    def on_event(self, event: Event) -> None:
        """What happened does not matter, only that time passes."""

    def on_tick(self) -> None:
        """Fail the run if the disk does not take it.

        Raises:
            StoreError: It did not.
        """
        if self._errors:
            raise self._errors[0]

    def close(self) -> None:
        """Sync once more, for the summary, while the caller has its value: all that it speaks of is on the disk already."""
        self._stop.set()

    def _sync(self) -> None:
        is_last = False
        while not self._errors and not is_last:
            is_last = self._stop.wait(_SYNC_INTERVAL_S)
            try:
                self._blobs.flush()
            except StoreError as error:
                self._errors.append(error)
        if self._errors and is_last:
            sys.stderr.write(
                f"Run {self._run_id} has ended, and its end may not be on the disk yet: {self._errors[0]}\n"
            )
