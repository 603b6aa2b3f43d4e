"""Drives one run in this process: carries out what the scheduler decides, and tells it what came of it.

The same driver serves every place whose tasks are started one by one; only the launcher differs.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from pyflow.contract import RETRYABLE, ErrorRecord, ExitCode, Home, Invocation, Outcome, is_chain
from pyflow.executors.launcher import Finished, Launcher, Lost, Report, Returned, Taken
from pyflow.packed import PackedCall, PackedContainer, PackedGraph
from pyflow.runs import Event, Journal, RunView, brief_of
from pyflow.runtime import LOST, OUT_OF_MEMORY, TIMED_OUT
from pyflow.scheduling import (
    Advance,
    CancelRequested,
    Capacity,
    Command,
    Due,
    Ended,
    Expand,
    Fail,
    Finish,
    Pause,
    Recalled,
    Scheduler,
    Skip,
    Start,
)
from pyflow.store import ContentStore

_LOOK_INTERVAL_S: Final = 0.25
"""How often a waiting driver looks for a request to cancel, and shows that time goes on."""


class Watcher(Protocol):
    """Somebody who is told what happens in a run, while it does."""

    def on_event(self, event: Event) -> None:
        """Something was noted in the journal."""

    def on_tick(self) -> None:
        """Time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run to be carried out."""

    run_id: str
    graph: PackedGraph
    graph_digest: str
    graph_size: int
    home: Home
    content: ContentStore
    capacity: Capacity
    watchers: tuple[Watcher, ...] = ()
    is_cancel_requested: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Failure:
    """A slot that failed for good."""

    slot: str
    name: str
    attempt: int
    error: ErrorRecord
    exit_code: int
    is_lost: bool = False
    log: tuple[str, int, int] | None = None


@dataclass(slots=True)
class Ending:
    """How the tasks of a run ended."""

    is_success: bool = False
    is_cancelled: bool = False
    is_interrupted: bool = False
    """Somebody pressed Ctrl-C, or this process was asked to end."""
    is_to_end: bool = False
    """This process was asked to end (SIGTERM), and is to end now."""
    is_detached: bool = False
    """The run goes on; its caller has stopped watching."""
    failures: list[Failure] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def note(job: Job, journal: Journal, event: str, **details: object) -> None:
    """Write down that something happened, and tell those who watch."""
    noted = journal.add(event, **details)
    for watcher in job.watchers:
        watcher.on_event(noted)


class Driver:
    """Carries one job out with one launcher."""

    def __init__(self, job: Job, launcher: Launcher, journal: Journal) -> None:
        self._job = job
        self._launcher = launcher
        self._journal = journal
        self._scheduler = Scheduler(job.graph, job.capacity)
        self._nonce, self._numbers = os.urandom(6).hex(), count()
        """Of every attempt: which driver has started it, and its number there."""
        self._pauses: list[tuple[float, str]] = []
        self._ending = Ending()
        self._in_advance = 0
        """What the scheduler was told last."""
        self._is_finished = False
        self._look_at = time.monotonic() + _LOOK_INTERVAL_S
        self._view: RunView | None = None

    def run(self) -> Ending:
        """Carry the job out until nothing runs any more."""
        self._scheduler.handle(self._advance())
        self._do(self._scheduler.begin())
        while not self._is_finished:
            self._journal.flush()
            for report in self._launcher.wait(self._patience()):
                self._do(self._tell(report))
            if self._scheduler.is_stopping:
                self._recall()
            elif abs(self._launcher.in_advance - self._in_advance) > self._in_advance // 4:
                self._do(self._scheduler.handle(self._advance()))
            self._look_around()
        self._journal.flush()
        return self._ending

    def run_one(self, node: PackedCall) -> Ending:
        """Carry out a node that stands outside of the graph's body: the exit handler; the answer is of it alone."""
        self._ending = Ending()
        options = self._job.graph.options[node.options]
        failure: Failure | None = None
        for attempt in range(1, options.retries + 2):
            self._launch([self._invocation(node.id, (), attempt)], node, in_advance=False)
            failure, is_retryable = self._wait_for_one()
            if failure is None or not is_retryable or attempt > options.retries:
                break
            self._note("paused", slot=failure.slot, seconds=options.backoff_s * 2 ** (attempt - 1))
            time.sleep(options.backoff_s * 2 ** (attempt - 1))
        if failure is not None:
            self._fail(failure)
        self._journal.flush()
        self._ending.is_success = failure is None
        return self._ending

    def _advance(self) -> Advance:
        self._in_advance = self._launcher.in_advance
        return Advance(self._in_advance)

    def _wait_for_one(self) -> tuple[Failure | None, bool]:
        """How the one attempt that runs has failed, if it has, and whether another may help."""
        while True:
            for report in self._launcher.wait(_LOOK_INTERVAL_S):
                if isinstance(report, Taken):
                    self._note_taken(report)
                elif isinstance(report, Lost):
                    return self._note_lost(report), True
                elif isinstance(report, Finished):
                    failure = self._note_outcome(report.outcome)
                    return failure, report.outcome.exit_code in RETRYABLE

    def request_cancel(self) -> None:
        """Start nothing more, and end what runs."""
        if not self._ending.is_cancelled:
            self._ending.is_cancelled = True
            self._note("cancel-requested")
            self._recall()
            self._launcher.end(self._scheduler.running)
            self._do(self._scheduler.handle(CancelRequested()))

    def _recall(self) -> None:
        for slot in self._launcher.recall():
            self._do(self._scheduler.handle(Recalled(slot)))

    # Commands

    def _do(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, Start):
                node = command.slots[0].node
                invocations = [
                    self._invocation(slot.node.id, slot.indices, attempt)
                    for slot, attempt in zip(command.slots, command.attempts, strict=True)
                ]
                self._launch(invocations, node, in_advance=command.in_advance)  # type: ignore[arg-type]
            elif isinstance(command, Pause):
                heapq.heappush(self._pauses, (time.monotonic() + command.seconds, str(command.slot)))
                self._note("paused", slot=str(command.slot), seconds=command.seconds)
            elif isinstance(command, Skip):
                self._count("skipped")
                self._note("skipped", slot=str(command.slot))
            elif isinstance(command, Expand):
                self._note("expanded", slot=str(command.slot), count=command.items)
            elif isinstance(command, Fail):
                error = ErrorRecord(
                    type="pyflow.errors.DefinitionError", message=command.reason, traceback=command.reason
                )
                self._note("failed", slot=str(command.slot), error=error.to_wire())
                self._fail(
                    Failure(str(command.slot), command.slot.node.name, 0, error, int(ExitCode.TASK_RAISED_FOR_GOOD))
                )
            elif isinstance(command, Finish):
                self._ending.is_success = command.is_success
                self._is_finished = True

    def _launch(self, invocations: list[Invocation], node: PackedCall | PackedContainer, *, in_advance: bool) -> None:
        timeout_s = self._job.graph.options[node.options].timeout_s
        worker = self._launcher.launch(invocations, timeout_s, in_advance=in_advance)
        if worker is not None:
            for invocation in invocations[:1] if is_chain(invocations) else invocations:
                self._note("started", slot=invocation.slot, attempt=invocation.attempt, worker=worker)

    def _invocation(self, node: int, indices: tuple[int, ...], attempt: int) -> Invocation:
        job = self._job
        return Invocation(
            home=job.home,
            run_id=job.run_id,
            graph_digest=job.graph_digest,
            graph_size=job.graph_size,
            node=node,
            indices=indices,
            attempt=attempt,
            nonce=f"{self._nonce}{next(self._numbers):x}",
        )

    # Reports

    def _tell(self, report: Report) -> list[Command]:
        """Tell the scheduler what a launcher reports."""
        if isinstance(report, Taken):
            self._note_taken(report)
            return []
        if isinstance(report, Returned):
            return self._scheduler.handle(Recalled(report.slot))
        if isinstance(report, Lost):
            if report.is_interrupt:
                self.request_cancel()
            return self._failed_attempt(self._note_lost(report), is_retryable=True)
        outcome = report.outcome
        failure = self._note_outcome(outcome)
        if failure is not None:
            return self._failed_attempt(failure, is_retryable=outcome.exit_code in RETRYABLE)
        return self._scheduler.handle(Ended(outcome.slot, is_success=True, facts=tuple(outcome.facts)))

    def _note_taken(self, report: Taken) -> None:
        self._note("started", slot=report.slot, attempt=report.attempt, worker=report.worker)

    def _note_outcome(self, outcome: Outcome) -> Failure | None:
        """Note the end of an attempt; what is known of its failure, if it is one."""
        if outcome.is_committed or outcome.error is None:
            self._note("ended", **brief_of(outcome), status="succeeded")
            self._count("succeeded")
            return None
        status = "cancelled" if self._ending.is_cancelled else "failed"
        self._note("ended", **brief_of(outcome), status=status, error=outcome.error.to_wire())
        log = None if outcome.log is None else (outcome.log.writer, outcome.log.start, outcome.log.end)
        name = self._name(outcome.slot)
        return Failure(outcome.slot, name, outcome.attempt, outcome.error, outcome.exit_code, log=log)

    def _note_lost(self, report: Lost) -> Failure:
        """Note that an attempt ended without an outcome; what is known of it."""
        exit_code = int(ExitCode.TIMEOUT) if report.is_timeout else -1
        kind = TIMED_OUT if report.is_timeout else OUT_OF_MEMORY if report.is_out_of_memory else LOST
        error = ErrorRecord(type=kind, message=report.reason, traceback=report.reason)
        status = "cancelled" if self._ending.is_cancelled else "failed" if report.is_timeout else "lost"
        details = {"log": list(report.log)} if report.log else {}
        self._note("ended", slot=report.slot, attempt=report.attempt, status=status, error=error.to_wire(), **details)
        name = self._name(report.slot)
        return Failure(report.slot, name, report.attempt, error, exit_code, is_lost=True, log=report.log)

    def _failed_attempt(self, failure: Failure, *, is_retryable: bool) -> list[Command]:
        commands = self._scheduler.handle(Ended(failure.slot, is_success=False, is_retryable=is_retryable))
        if self._ending.is_cancelled:
            self._count("cancelled")
        elif not any(isinstance(c, Pause) and str(c.slot) == failure.slot for c in commands):
            self._fail(failure)
        return commands

    def _fail(self, failure: Failure) -> None:
        self._count("lost" if failure.is_lost else "failed")
        self._ending.failures.append(failure)

    def _count(self, status: str) -> None:
        self._ending.counts[status] = self._ending.counts.get(status, 0) + 1

    # Time

    def _patience(self) -> float:
        if not self._pauses:
            return _LOOK_INTERVAL_S
        return max(0.0, min(_LOOK_INTERVAL_S, self._pauses[0][0] - time.monotonic()))

    def _look_around(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_INTERVAL_S
            if not self._is_finished and self._job.is_cancel_requested():
                self.request_cancel()
            for watcher in self._job.watchers:
                watcher.on_tick()
        while self._pauses and self._pauses[0][0] <= now:
            self._do(self._scheduler.handle(Due(heapq.heappop(self._pauses)[1])))

    def _note(self, event: str, **details: object) -> None:
        note(self._job, self._journal, event, **details)

    def _name(self, slot: str) -> str:
        if self._view is None:
            self._view = RunView(self._job.graph)
        return self._view.name_of(slot)
