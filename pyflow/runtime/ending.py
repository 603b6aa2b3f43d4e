"""The end of a run that nobody drives: what became of each slot, the exit handler, the summary.

It runs when all pods have ended, however they did: in the one that comes behind all others, when that ended well and there
is no exit handler, else in a pod of its own. What the cluster says, succeeded or not, is
compared with what the store holds: each slot that should have a result must have one. The store is asked which slots have
a record, a thousand at a time; a record itself is read, and believed or not, where a branch or a failure depends on it,
and by whoever reads the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyflow.artifacts import keep
from pyflow.contract import ErrorRecord, ExitCode, Outcome, parse_slot, slot_of
from pyflow.errors import PyflowError
from pyflow.jsontext import Json
from pyflow.packed import (
    PackedBranch,
    PackedCall,
    PackedContainer,
    PackedMap,
    PackedRegion,
    PackedSelect,
    nodes_in,
)
from pyflow.runs import EventReader, ExitOutcome, RunRecord, RunSummary, Status
from pyflow.runtime.attempts import LOST
from pyflow.runtime.marks import read_marks
from pyflow.runtime.program import Program
from pyflow.runtime.resolve import EXIT_SLOT, Resolver
from pyflow.store import ContentStore, RunCommits

if TYPE_CHECKING:
    from pyflow.runtime.pod_place import PodPlace, Reporter

Indices = tuple[int, ...]

_KILLED: Final = "its pod ended without a word: it was killed, evicted, or ran out of memory."
_MOST_FAILURES: Final = 20
_NO_SCRATCH: Final = Path("/nonexistent")
"""No value is loaded here, so no file is made."""


def end_run(
    place: PodPlace,
    content: ContentStore,
    program: Program,
    reporter: Reporter,
    run_handler: Callable[[int], Outcome],
    said: str,
) -> int:
    """Write down how a run ended; the exit code of the pod.

    Args:
        place: The run.
        content: Its store.
        program: Its graph.
        reporter: Where events go.
        run_handler: Runs the exit handler, a node.
        said: The state that the cluster gives the run.
    """
    has_succeeded = said == "Succeeded"
    if not has_succeeded and program.graph.on_exit is None and _has_ended_well(content, place.run_id):
        return int(ExitCode.COMMITTED)
    end = _End(place, content, program, reporter)
    end.look(has_succeeded=has_succeeded)
    handler = program.graph.on_exit
    if handler is not None:
        end.give_outcome()
        end.add_handler(handler, run_handler(handler.id))
    status = end.close()
    # The cluster learns by the code of this pod what it does not know yet.
    return int(ExitCode.TASK_RAISED_FOR_GOOD if has_succeeded and status == "failed" else ExitCode.COMMITTED)


def _has_ended_well(content: ContentStore, run_id: str) -> bool:
    """Whether the last pod has said so, and was lost only then: its word was given, and all results are there."""
    summary = RunSummary.read(content, run_id)
    return summary is not None and summary.status == "succeeded"


class _End:
    """What is known of a run at its end."""

    def __init__(self, place: PodPlace, content: ContentStore, program: Program, reporter: Reporter) -> None:
        self._place = place
        self._content = content
        self._program = program
        self._reporter = reporter
        self._record = RunRecord.read(content, place.run_id)
        self._present: set[str] = set()
        """Slots that have a record."""
        self._skipped: set[str] = set()
        self._failures: dict[str, tuple[ErrorRecord, str]] = {}
        """Slots that did not succeed: why, and their status."""
        self._status: Status = "failed"

    def look(self, *, has_succeeded: bool) -> None:
        """Find out what became of each slot."""
        self._present = set(self._commits.slots()) - {EXIT_SLOT}
        self._read_events()
        is_cancelled = read_marks(self._content, self._place.run_id).is_cancelled
        if has_succeeded and not self._failures:
            self._check_all()
        has_failed = any(status != "cancelled" for _, status in self._failures.values())
        if has_succeeded and not has_failed:
            self._status = "succeeded"
        else:
            self._status = "cancelled" if is_cancelled else "failed"

    @property
    def _commits(self) -> RunCommits:
        return self._content.commits(self._place.run_id, self._program.digest)

    def _is_committed(self, slot: str) -> bool:
        return slot in self._present and self._commits.committed(slot) is not None

    def _read_events(self) -> None:
        ended: dict[str, Json] = {}
        open_attempts: dict[str, Json] = {}
        for event in EventReader(self._content, self._place.run_id).read_on():
            slot, kind = str(event.get("slot")), event["event"]
            if kind == "started":
                open_attempts[slot] = event
            elif kind in {"ended", "failed"}:
                open_attempts.pop(slot, None)
                ended[slot] = event
            elif kind == "skipped":
                self._skipped.add(slot)
        for slot, event in open_attempts.items():
            if not self._is_committed(slot):
                error = ErrorRecord(type=LOST, message=_KILLED, traceback=_KILLED)
                self._reporter.note("ended", slot=slot, attempt=event["attempt"], status="lost", error=error.to_wire())
                self._failures[slot] = (error, "lost")
                ended.pop(slot, None)
        for slot, event in ended.items():
            if event.get("error") and not self._is_committed(slot):
                self._failures[slot] = (ErrorRecord(**event["error"]), event.get("status", "failed"))

    def _check_all(self) -> None:
        """Compare what the store holds with what the graph asks for: a cluster may lose work without a word."""
        resolver = Resolver(self._program, self._content, self._place.run_id, _NO_SCRATCH)
        for slot, message in self._missing(self._program.graph.region, (), resolver):
            error = ErrorRecord(type="pyflow.errors.IntegrityError", message=message, traceback=message)
            if "first_of()" in message:
                error = ErrorRecord(type="pyflow.errors.DefinitionError", message=message, traceback=message)
            self._reporter.note("failed", slot=slot, error=error.to_wire())
            self._failures[slot] = (error, "failed")

    def _missing(self, region: PackedRegion, indices: Indices, resolver: Resolver) -> Iterator[tuple[str, str]]:
        """Slots that have no result though they should, each with what is wrong."""
        for node in region.nodes:
            slot = slot_of(node.id, indices)
            if isinstance(node, (PackedCall, PackedContainer)):
                if slot not in self._present:
                    yield slot, self._passed_over(node.name, slot)
            elif isinstance(node, PackedBranch):
                maker, fact = node.fact
                if slot_of(maker, indices) in self._present:
                    taken = node.then if resolver.outcome(maker, indices).facts[fact] else node.otherwise
                    yield from self._missing(taken, indices, resolver)
            elif isinstance(node, PackedMap):
                for item in range(_count(node, indices, resolver)):
                    yield from self._missing(node.body, (*indices, item), resolver)
            elif isinstance(node, PackedSelect) and not node.has_default:
                candidates = [list(nodes_in(candidate)) for candidate in node.candidates]
                if not any(all(resolver.was_taken(n, indices) for n in nodes) for nodes in candidates):
                    yield slot, node.none_made

    def _passed_over(self, name: str, slot: str) -> str:
        return (
            f"The cluster says that {name!r} (slot {slot}) has succeeded, but the run has no committed result of it in "
            f"{self._content.blobs.url}. Run it again; a pod may have been passed over."
        )

    def give_outcome(self) -> None:
        """Commit how the run ended, for its exit handler."""
        outcome = Outcome(
            slot=EXIT_SLOT,
            attempt=1,
            nonce=self._place.nonce,
            exit_code=int(ExitCode.COMMITTED),
            result=keep(self._told(), self._content, what="the outcome of the run"),
            started_at=time.time(),
            duration_s=0.0,
        )
        self._commits.commit(EXIT_SLOT, outcome.to_bytes())

    def _told(self) -> ExitOutcome:
        return ExitOutcome(
            run_id=self._place.run_id,
            pipeline=self._program.graph.name,
            status=self._status,
            duration_s=round(time.time() - self._record.started_at, 3),
            failures=tuple((name, error.type, error.message) for _, name, error in self._in_order()),
        )

    def add_handler(self, handler: PackedCall, outcome: Outcome) -> None:
        """What came of the exit handler; one that fails makes the run a failed one."""
        if outcome.is_committed:
            self._present.add(outcome.slot)
        elif outcome.error is not None:
            self._failures[slot_of(handler.id, ())] = (outcome.error, "failed")
            self._status = "failed" if self._status == "succeeded" else self._status

    def close(self) -> Status:
        """Write the summary; how the run ended."""
        self._reporter.note("run-ended", status=self._status)
        self._reporter.publish()
        self._content.blobs.flush()
        now = time.time()
        RunSummary(
            run_id=self._place.run_id,
            status=self._status,
            ended_at=round(now, 4),
            duration_s=round(now - self._record.started_at, 4),
            counts=self._counts(),
            failures=[[slot, name, error.type, error.message[:2000]] for slot, name, error in self._in_order()],
        ).write(self._content)
        return self._status

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {"succeeded": len(self._present), "skipped": len(self._skipped - self._present)}
        for _, status in self._failures.values():
            counts[status] = counts.get(status, 0) + 1
        return {status: count for status, count in counts.items() if count}

    def _in_order(self) -> list[tuple[str, str, ErrorRecord]]:
        """The first failures, in the order of the trace."""
        found = []
        failed = {slot: error for slot, (error, status) in self._failures.items() if status != "cancelled"}
        for slot in sorted(failed, key=parse_slot)[:_MOST_FAILURES]:
            node, indices = parse_slot(slot)
            name = self._program.place(node).node.name + "".join(f"[{i}]" for i in indices)
            found.append((slot, name, failed[slot]))
        return found


def _count(node: PackedMap, indices: Indices, resolver: Resolver) -> int:
    try:
        return resolver.count(node, indices)
    except PyflowError:
        return 0  # what it is made from is missing, and is told of by itself
