"""The end of a run that nobody drives: what became of each slot, the exit handler, the summary.

It runs when all pods have ended, however they did: in the one that comes behind all others, when that ended well and there
is no exit handler, else in a pod of its own. What the cluster says, succeeded or not, is
compared with what the store holds: each slot that should have a result must have one. The store is asked which slots have
a record, a thousand at a time; a record itself is read, and believed or not, where a branch or a failure depends on it,
and by whoever reads the result.

Where the cluster says that the run has failed, and no pod has said why, its own words are the reason (``silent.py``). What the store
holds counts for more: a run whose results are all there has succeeded, whatever became of its pods afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyflow.artifacts import keep
from pyflow.contract import ErrorRecord, ExitCode, Outcome, parse_slot, slot_of
from pyflow.errors import PyflowError
from pyflow.jsontext import Json
from pyflow.late import late
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
from pyflow.runtime.attempts import KILLED, LOST, TIMED_OUT, most_memory_told
from pyflow.runtime.marks import read_marks
from pyflow.runtime.program import Program
from pyflow.runtime.resolve import EXIT_SLOT, Resolver
from pyflow.store import ContentStore, RunCommits

if TYPE_CHECKING:
    from pyflow.runtime import silent
    from pyflow.runtime.pod_place import PodPlace, Reporter
    from pyflow.runtime.reasons import Death
else:
    silent = late("pyflow.runtime.silent")

Indices = tuple[int, ...]

_KILLED: Final = "its pod ended without a word: it was killed, evicted, or ran out of memory."
_MOST_FAILURES: Final = 20
_NO_SCRATCH: Final = Path("/nonexistent")
"""No value is loaded here, so no file is made."""


class Said(NamedTuple):
    """What the cluster says of a run that comes to its end."""

    status: str
    """As Argo calls it."""
    failures: str = ""
    """Of pods that failed: see ``silent.py``."""


def end_run(
    place: PodPlace,
    content: ContentStore,
    program: Program,
    reporter: Reporter,
    run_handler: Callable[[int], Outcome],
    said: Said,
) -> int:
    """Write down how a run ended; the exit code of the pod.

    Args:
        place: The run.
        content: Its store.
        program: Its graph.
        reporter: Where events go.
        run_handler: Runs the exit handler, a node.
        said: What the cluster says of the run.
    """
    has_succeeded = said.status == "Succeeded"
    if not has_succeeded and program.graph.on_exit is None and _has_ended_well(content, place.run_id):
        return int(ExitCode.COMMITTED)
    end = _End(place, content, program, reporter)
    if has_succeeded:
        end.check()
    else:
        end.explain(said.failures)
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
        self._resolver = Resolver(program, content, place.run_id, _NO_SCRATCH)
        self._present: set[str] = set()
        """Slots that have a record."""
        self._is_cancelled = False
        self._skipped: set[str] = set()
        self._failures: dict[str, tuple[ErrorRecord, str]] = {}
        """Slots that did not succeed: why, and their status."""
        self._begun: dict[str, Json] = {}
        """The last word about each slot with an attempt of whose end nobody has told why."""
        self._unexplained = ""
        """What the cluster says of a failure that is none of a slot."""
        self._status: Status = "failed"

    def check(self) -> None:
        """The cluster says that all went well: find out whether it did."""
        self._look()
        if not self._failures:
            self._check_all()
        self._settle(is_all_there=True)

    def explain(self, said: str) -> None:
        """The cluster says that the run has failed: find out why, as far as pods and the cluster's words tell."""
        self._look()
        pods = silent.SilentPods(said, self._program, self._place.most, self._count, self._most_memory)
        self._explain_begun(pods)
        missing = self._missing_slots()
        if not self._is_cancelled:
            for slot, attempt, death in pods.never_begun(missing or (), self._failures):
                if death.kind != "stopped":
                    self._reporter.note("started", slot=slot, attempt=attempt, worker="")
                    self._note_death(slot, attempt, death)
        self._settle(is_all_there=missing == [] and not self._is_cancelled)
        if self._status == "failed" and not self._failures:
            self._unexplained = pods.first_words()

    def _settle(self, *, is_all_there: bool) -> None:
        has_failed = any(status != "cancelled" for _, status in self._failures.values())
        if is_all_there and not has_failed:
            self._status = "succeeded"
        else:
            self._status = "cancelled" if self._is_cancelled else "failed"

    @property
    def _commits(self) -> RunCommits:
        return self._content.commits(self._place.run_id, self._program.digest)

    def _is_committed(self, slot: str) -> bool:
        return slot in self._present and self._commits.committed(slot) is not None

    def _look(self) -> None:
        """Find out what became of each slot, by what the pods wrote."""
        self._present = set(self._commits.slots()) - {EXIT_SLOT}
        self._is_cancelled = read_marks(self._content, self._place.run_id).is_cancelled
        ended: dict[str, Json] = {}
        for event in EventReader(self._content, self._place.run_id).read_on():
            slot, kind = str(event.get("slot")), event["event"]
            if kind == "started":
                self._begun[slot] = event
            elif kind in {"ended", "failed"}:
                self._begun.pop(slot, None)
                ended[slot] = event
            elif kind == "skipped":
                self._skipped.add(slot)
        for slot, event in ended.items():
            if slot in self._begun or not event.get("error") or self._is_committed(slot):
                continue
            if event["error"]["message"] == KILLED:
                self._begun[slot] = event  # the pod could say no more, and the cluster may
            self._failures[slot] = (ErrorRecord(**event["error"]), event.get("status", "failed"))

    def _explain_begun(self, pods: silent.SilentPods) -> None:
        """What ended the attempts that had begun, and of whose end nobody has told."""
        for slot, event in self._begun.items():
            if self._is_committed(slot):
                continue
            attempt, has_told = event["attempt"], event["event"] != "started"
            death = pods.death_of(slot, attempt)
            if death is not None and not (has_told and death.kind == "other"):
                self._note_death(slot, attempt, death, **_how_it_went(event))
            elif not has_told:
                self._note_end(slot, attempt, ErrorRecord(type=LOST, message=_KILLED, traceback=_KILLED), "lost")

    def _note_death(self, slot: str, attempt: int, death: Death, **more: Json) -> None:
        error = ErrorRecord(type=death.error, message=death.reason, traceback=death.reason)
        status: Status = "failed" if death.error == TIMED_OUT else "lost"
        self._note_end(slot, attempt, error, "cancelled" if death.kind == "stopped" else status, **more)

    def _note_end(self, slot: str, attempt: int, error: ErrorRecord, status: Status, **more: Json) -> None:
        self._reporter.note("ended", slot=slot, attempt=attempt, status=status, error=error.to_wire(), **more)
        self._failures[slot] = (error, status)

    def _most_memory(self, slot: str, attempt: int) -> int:
        return most_memory_told(self._place.run_id, slot, attempt, self._content)

    def _check_all(self) -> None:
        """Compare what the store holds with what the graph asks for: a cluster may lose work without a word."""
        for slot, message in self._missing(self._program.graph.region, ()):
            error = ErrorRecord(type="pyflow.errors.IntegrityError", message=message, traceback=message)
            if "first_of()" in message:
                error = ErrorRecord(type="pyflow.errors.DefinitionError", message=message, traceback=message)
            self._reporter.note("failed", slot=slot, error=error.to_wire())
            self._failures[slot] = (error, "failed")

    def _missing_slots(self) -> list[str] | None:
        """Slots that have no result though they should; None where that cannot be told, for a record is not believed."""
        try:
            return [slot for slot, _ in self._missing(self._program.graph.region, ())]
        except PyflowError:
            return None

    def _missing(self, region: PackedRegion, indices: Indices) -> Iterator[tuple[str, str]]:
        """Slots that have no result though they should, each with what is wrong."""
        for node in region.nodes:
            slot = slot_of(node.id, indices)
            if isinstance(node, (PackedCall, PackedContainer)):
                if slot not in self._present:
                    yield slot, self._passed_over(node.name, slot)
            elif isinstance(node, PackedBranch):
                maker, fact = node.fact
                if slot_of(maker, indices) in self._present:
                    taken = node.then if self._resolver.outcome(maker, indices).facts[fact] else node.otherwise
                    yield from self._missing(taken, indices)
            elif isinstance(node, PackedMap):
                for item in range(self._count(node, indices)):
                    yield from self._missing(node.body, (*indices, item))
            elif isinstance(node, PackedSelect) and not node.has_default:
                candidates = [list(nodes_in(candidate)) for candidate in node.candidates]
                if not any(all(self._resolver.was_taken(n, indices) for n in nodes) for nodes in candidates):
                    yield slot, node.none_made

    def _count(self, node: PackedMap, indices: Indices) -> int:
        try:
            return self._resolver.count(node, indices)
        except PyflowError:
            return 0  # what it is made from is missing, and is told of by itself

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
        """The first failures, in the order of the trace; of a run that failed without one, what the cluster says."""
        found = []
        failed = {slot: error for slot, (error, status) in self._failures.items() if status != "cancelled"}
        for slot in sorted(failed, key=parse_slot)[:_MOST_FAILURES]:
            node, indices = parse_slot(slot)
            name = self._program.place(node).node.name + "".join(f"[{i}]" for i in indices)
            found.append((slot, name, failed[slot]))
        if not found and self._unexplained:
            found.append(("", self._program.graph.name, _as_error(self._unexplained)))
        return found


def _as_error(said: str) -> ErrorRecord:
    message = f"Argo says that the workflow has failed: {said}"
    return ErrorRecord(type="ExecutorError", message=message, traceback=message)


def _how_it_went(event: Json) -> dict[str, Json]:
    """What the pod itself told of an attempt that it saw the end of, but not the reason."""
    return {name: event[name] for name in ("duration_s", "log") if name in event}
