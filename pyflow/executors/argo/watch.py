"""Follows one run: what its pods write in the store, and what the cluster says of those that write nothing.

The theory. Pods tell the store when they start and end, so the store alone knows results and errors. The cluster knows
what a pod cannot tell: that it waits for room or an image, was killed, or never came to be. This watcher merges the two into the
events that displays and ``RunView`` understand, writes the deaths it finds down in a log of its own, and a summary when the
run's exit step could not. Any number of watchers may follow one run: what they write says the same.

A cluster that cannot be reached is no end: the store still tells how the run goes on, and how it ends.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pyflow.contract import ErrorRecord, ExitCode, parse_slot
from pyflow.errors import (
    AccessDeniedError,
    ConfigError,
    ExecutorError,
    StoreError,
    StoreUnavailableError,
    UnreachableError,
)
from pyflow.executors.argo.cluster import Cluster
from pyflow.executors.argo.failure import MissingError
from pyflow.executors.argo.slots import slots_of, under_way
from pyflow.executors.argo.waits import Waits
from pyflow.executors.argo.workflow import (
    FINAL,
    PodNode,
    finished_at,
    is_at_the_end,
    is_shut_down,
    message_of,
    phase_of,
    pod_nodes,
)
from pyflow.jsontext import Json
from pyflow.packed import PackedCall, PackedContainer, PackedGraph
from pyflow.runs import Event, EventReader, Journal, RunSummary, RunView, Status, WaitView
from pyflow.runtime import KILLED, LOST, most_memory_told, reasons, sharing
from pyflow.store import ContentStore

_LOOK_S: Final = 1.0
_MOST_S: Final = 15.0
_SHARE: Final = 20
"""Asking for a large workflow takes long: it is asked for no more than this part of the time."""
_PATIENCE_S: Final = 300.0
"""How long a pod may wait for what waiting will not mend, an image that is not there for example."""
_END_PATIENCE_S: Final = 30.0
"""How long the pod that ends a run may wait when somebody has asked for the end: all that it would do can be done from here."""
_LATE_END_S: Final = 60.0
"""How long it may go on when Argo has given it up, which it does at the time limit of a run while the pod still starts."""
_UNNOTICED_S: Final = 15.0
"""When a workflow that no controller has looked at is worth a word."""
_LAST_LINES: Final = 5
_MOST_LAST_WORDS: Final = 3
"""Of how many pods that ended without a word somebody wants to read what they printed."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Which run is followed."""

    run_id: str
    workflow: str
    started_at: float
    graph: PackedGraph


class Watch:
    """One run, followed from here.

    Args:
        tell: Is told each event.
    """

    def __init__(
        self,
        run: Followed,
        content: ContentStore,
        cluster: Cluster,
        tell: Callable[[Event], None] = lambda _event: None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._run = run
        self._content = content
        self._cluster = cluster
        self._tell_one = tell
        self._now = now
        writer = f"watcher-{os.urandom(4).hex()}"
        self._reader = EventReader(content, run.run_id, but=writer)
        self._journal = Journal(content, run.run_id, writer=writer, is_new=True, now=now)
        self._nodes = {node.id: node for node in run.graph.walk()}
        self._waits = Waits(cluster, self._has_begun, now)
        self._unsaid: dict[str, list[Event]] = {}
        """By slot, the end of an attempt whose pod did not know what ended it, and what followed: the cluster's word is told instead."""
        self.trouble = ""
        """Why nobody can say how the run is, or it cannot be helped from here; empty when all is well."""
        self._found = ""
        """The trouble of this look."""
        self._has_written = False
        self._ask_at = 0.0
        self._dead: set[str] = set()
        self._asked_for_words = 0
        self.view = RunView(run.graph)

    def begin(self) -> None:
        """Say that the run goes on since it was submitted, whoever says so later."""
        self._tell({"at": self._run.started_at, "event": "run-started"})

    def look(self) -> RunSummary | None:
        """Look once at the store and, at its pace, at the cluster; how the run ended, if it has."""
        self._found = ""
        is_time = time.monotonic() >= self._ask_at
        summary = self._read_store()
        if summary is None and is_time:
            summary = self._look_at_the_cluster()
        if summary is not None:
            self._end(summary)
        elif is_time or self._found:
            self._say_trouble(self._found)
        return summary

    def _look_at_the_cluster(self) -> RunSummary | None:
        workflow = self._ask()
        if workflow is None:
            return None
        # What a pod has written before it ended comes before what the cluster says of its end.
        summary = self._read_store()
        return self._judge(workflow) if summary is None else summary

    def _read_store(self) -> RunSummary | None:
        try:
            # In this order: a summary is written after all events.
            summary = RunSummary.read(self._content, self._run.run_id)
            for event in self._reader.read_on():
                self._take(event)
        except StoreUnavailableError as error:
            self._note_trouble(f"{error} The run goes on; its state is not known from here.")
            return None
        return summary

    def _ask(self) -> Json:
        """The workflow, None when it cannot be asked for now, and False when there is none any more."""
        began = time.monotonic()
        found: Json
        try:
            found = self._cluster.get(self._run.workflow)
            if found["metadata"].get("uid") != self._run.run_id:
                found = False
        except MissingError:
            found = False
        except (UnreachableError, AccessDeniedError, ConfigError) as error:
            self._note_trouble(f"{error} The run goes on; what its pods write in the store is still shown.")
            found = None
        took = time.monotonic() - began
        self._ask_at = time.monotonic() + min(max(_LOOK_S, took * _SHARE), _MOST_S)
        return found

    def _judge(self, workflow: Json) -> RunSummary | None:
        if workflow is False:
            return self._deleted()
        nodes = list(pod_nodes(workflow))
        if is_shut_down(workflow) and not self.view.is_cancel_requested and self._is_asked_to_end():
            self._tell({"at": self._now(), "event": "cancel-requested"})
        self._note_deaths(nodes)
        if phase_of(workflow) not in FINAL:
            self._note_waits(nodes, workflow)
        elif not self._is_ending(nodes, workflow):
            return self._conclude(workflow)
        with contextlib.suppress(StoreError):  # not everybody who looks may write
            self._publish()
        return None

    def _is_asked_to_end(self) -> bool:
        return self._content.blobs.info(self._content.keys.cancel(self._run.run_id)) is not None

    def _is_ending(self, nodes: Sequence[PodNode], workflow: Json) -> bool:
        """Whether the pod that ends the run may still do so, though Argo says that all is over."""
        ended_at = finished_at(workflow)
        if ended_at is None or self._now() - ended_at > _LATE_END_S:
            return False
        return any(is_at_the_end(node, self._run.workflow) and "deadline" in node.message for node in nodes)

    def _note_deaths(self, nodes: Sequence[PodNode]) -> None:
        """Write down the ends of pods that could not do so themselves."""
        fresh = [node for node in nodes if node.is_failed and node.id not in self._dead]
        for node in fresh:
            self._dead.add(node.id)
            for slot, attempt in self._lost_with(node):
                self._note_death(slot, attempt, node)

    def _lost_with(self, node: PodNode) -> list[tuple[str, int]]:
        """Slots and attempts that ended with a pod: what it had under way, or the first of what it had still to do."""
        begun = under_way(node, self.view)
        if begun or node.exit_code == ExitCode.CANCELLED:
            # A pod that comes after another one's failure has begun nothing, and is not lost.
            return begun
        waiting = [slot for slot in slots_of(node, self.view) if not self._has_ended(slot, node.attempt)]
        if len(waiting) < len(slots_of(node, self.view)) and self._has_told_failure(node):
            return []
        return [(slot, node.attempt) for slot in waiting[:1]]

    def _has_told_failure(self, node: PodNode) -> bool:
        """Whether a pod has written down itself what failed in it."""
        slots = [s for n in self.view.nodes.values() for s in n.slots.values() if s.slot in slots_of(node, self.view)]
        return any(slot.status in {"failed", "lost", "cancelled"} for slot in slots)

    def _note_death(self, slot: str, attempt: int, node: PodNode) -> None:
        known, *later = self._unsaid.pop(slot, [{}])
        is_memory = reasons.is_out_of_memory(node.message, node.exit_code)
        most = most_memory_told(self._run.run_id, slot, attempt, self._content) if is_memory else 0
        memory_mib = self._memory_mib(slot, attempt)
        death = reasons.why_it_died(node.message, node.exit_code, memory_mib=memory_mib, most_memory_bytes=most)
        if death.kind == "other" and known:
            self._tell_all([known, *later])
            return
        if death.kind == "other":
            death = death._replace(reason=death.reason + self._last_words(node))
        error = ErrorRecord(type=death.error, message=death.reason, traceback=death.reason)
        status: Status = "failed" if death.kind == "timeout" else "lost"
        if self.view.is_cancel_requested or death.kind == "stopped":
            status = "cancelled"
        if not self._has_started(slot, attempt):
            self._write("started", slot=slot, attempt=attempt, worker=node.pod)
        more = {name: known[name] for name in ("duration_s", "log") if name in known}
        self._write(
            "ended", at=known.get("at"), slot=slot, attempt=attempt, status=status, error=error.to_wire(), **more
        )
        self._tell_all(later)

    def _memory_mib(self, slot: str, attempt: int) -> int | None:
        node = self._nodes.get(parse_slot(slot)[0])
        if not isinstance(node, (PackedCall, PackedContainer)):
            return None
        return sharing.memory_mib_of(self._run.graph, node, attempt)

    def _last_words(self, node: PodNode) -> str:
        """What a pod printed before it ended, where nothing of it is in the store: it may never have come to that."""
        if self._asked_for_words >= _MOST_LAST_WORDS:
            return ""
        self._asked_for_words += 1
        try:
            lines = deque(self._cluster.logs(self._run.workflow, node.pod), maxlen=_LAST_LINES)
        except ExecutorError:
            return ""  # the pod is gone, or not everybody may read logs
        return f" Its last lines: {' / '.join(line[:200] for line in lines)}" if lines else ""

    def _note_waits(self, nodes: Sequence[PodNode], workflow: Json) -> None:
        """Tell why pods wait; end the run when waiting cannot help."""
        waits = self._waits.of(nodes)
        for node in nodes:
            wait = waits.get(node.id)
            self._tell_wait(node, wait)
            if is_at_the_end(node, self._run.workflow):
                self._mind_the_end(node, wait, is_asked=is_shut_down(workflow))
            elif wait is not None and wait.is_hopeless and self._waited_s(node, wait) > _PATIENCE_S:
                self._give_up(node, wait)
        if not phase_of(workflow) and self._now() - self._run.started_at > _UNNOTICED_S:
            self._note_trouble(
                f"Argo's controller has not looked at workflow {self._run.workflow!r} yet. Does it run, and does it watch "
                f"namespace {self._cluster.namespace!r}? Where there are several, argo={{'instance_id': ...}} says which one."
            )

    def _has_begun(self, node: PodNode) -> bool:
        """Whether a pod that still gets ready has told of its own."""
        return any(self._has_started(slot, node.attempt) for slot in slots_of(node, self.view))

    def _tell_wait(self, node: PodNode, wait: reasons.Wait | None) -> None:
        """Tell what is new of a wait, and write it down when it is of another kind: whoever looks next knows since when."""
        text, kind = ("", "") if wait is None else (str(wait), wait.kind)
        for slot in slots_of(node, self.view)[:1]:
            told = self._wait_of(slot)
            if node.is_over or self._has_ended(slot, node.attempt) or (told is None and wait is None):
                continue
            if told is None or told.kind != kind:
                self._write("waiting", slot=slot, reason=text, kind=kind)
            else:
                self._tell({"at": self._now(), "event": "waiting", "slot": slot, "reason": text, "kind": kind})

    def _waited_s(self, node: PodNode, wait: reasons.Wait) -> float:
        """How long a pod has waited for something of this kind, as anybody saw it."""
        for slot in slots_of(node, self.view)[:1]:
            told = self._wait_of(slot)
            return 0.0 if told is None or told.kind != wait.kind else self._now() - told.since
        return self._waits.pending_s(node)

    def _mind_the_end(self, node: PodNode, wait: reasons.Wait | None, *, is_asked: bool) -> None:
        """End a run whose last pod does not start: it often needs the same as those that could not."""
        if is_asked and self._run.graph.on_exit is None:
            patience_s = _END_PATIENCE_S
        elif wait is not None and wait.is_hopeless:
            patience_s = _PATIENCE_S
        else:
            return
        if node.phase == "Pending" and self._waits.pending_s(node) > patience_s:
            self._try(self._cluster.terminate)

    def _give_up(self, node: PodNode, wait: reasons.Wait) -> None:
        """Stop the run, and write down what its pod could not get."""
        if node.id in self._dead or not self._try(self._cluster.stop):
            return
        self._dead.add(node.id)
        for slot in slots_of(node, self.view)[:1]:
            if not self._has_ended(slot, node.attempt):
                reason = f"its pod could not start within {_PATIENCE_S:.0f} s: {wait}"
                error = ErrorRecord(type=LOST, message=reason, traceback=reason)
                if not self._has_started(slot, node.attempt):
                    self._write("started", slot=slot, attempt=node.attempt, worker=node.pod)
                self._write("ended", slot=slot, attempt=node.attempt, status="lost", error=error.to_wire())

    def _try(self, act: Callable[[str], None]) -> bool:
        """Ask the cluster to do something to the workflow; False where it does not: not everybody who looks may."""
        try:
            act(self._run.workflow)
        except (UnreachableError, AccessDeniedError, MissingError) as error:
            self._note_trouble(f"Run {self._run.run_id} should be ended, and that cannot be done from here: {error}")
            return False
        return True

    def _conclude(self, workflow: Json) -> RunSummary:
        """A summary for a workflow that ended without one: its exit step could not run."""
        self._say_the_unsaid()
        asked, failures = self._is_asked_to_end(), self._failures()
        if phase_of(workflow) == "Succeeded":
            status: Status = "succeeded"
        elif failures:
            status = "failed"
        elif asked or is_shut_down(workflow):
            status = "cancelled"
        else:
            status = "failed"
            said = message_of(workflow) or "Argo says no more"
            failures = [["", self._run.graph.name, "ExecutorError", f"Workflow {self._run.workflow!r} failed: {said}"]]
        return self._write_summary(status, failures)

    def _deleted(self) -> RunSummary:
        self._say_the_unsaid()
        if self._is_asked_to_end():
            return self._write_summary("cancelled", [])
        said = (
            f"Workflow {self._run.workflow!r} was deleted in namespace {self._cluster.namespace!r} before it had ended."
        )
        return self._write_summary("failed", [["", self._run.graph.name, "ExecutorError", said], *self._failures()])

    def _write_summary(self, status: Status, failures: list[Json]) -> RunSummary:
        self._write("run-ended", status=status)
        self._publish()
        summary = RunSummary(
            run_id=self._run.run_id,
            status=status,
            ended_at=self._now(),
            duration_s=round(self._now() - self._run.started_at, 4),
            counts=counts_of(self.view),
            failures=failures[:20],
        )
        summary.write(self._content)
        return summary

    def _write(self, event: str, *, at: float | None = None, **details: Json) -> None:
        """Write something down for everybody, and tell it, as of a moment before where one is given: what is written last counts."""
        written = self._journal.add(event, **details)
        self._tell(written if at is None else {**written, "at": at})
        self._has_written = True

    def _publish(self) -> None:
        """Let others see what was written down here, at once."""
        if self._has_written:
            self._journal.flush()
            self._content.blobs.flush()
            self._has_written = False

    def _failures(self) -> list[Json]:
        return [
            [slot.slot, node.name, str(slot.error["type"]).rpartition(".")[2], str(slot.error["message"])[:2000]]
            for node in self.view.nodes.values()
            for slot in node.slots.values()
            if slot.status in {"failed", "lost"} and slot.error
        ]

    def _has_started(self, slot: str, attempt: int) -> bool:
        return self._attempt_status(slot, attempt) is not None

    def _has_ended(self, slot: str, attempt: int) -> bool:
        return self._attempt_status(slot, attempt) not in {None, "running"}

    def _attempt_status(self, slot: str, attempt: int) -> Status | None:
        node = self.view.nodes.get(parse_slot(slot)[0])
        found = None if node is None else node.slots.get(slot)
        if found is None:
            return None
        if found.status == "failed" and not found.attempts:
            return "failed"  # a map whose lengths differ says so itself, before anything is tried
        return next((a.status for a in found.attempts if a.number == attempt), None)

    def _end(self, summary: RunSummary) -> None:
        self._say_the_unsaid()
        if self.view.status != summary.status:
            self._tell({"at": summary.ended_at, "event": "run-ended", "status": summary.status})

    def _note_trouble(self, message: str) -> None:
        """Of the troubles of one look the first is told."""
        self._found = self._found or message

    def _say_trouble(self, message: str) -> None:
        if message != self.trouble:
            self.trouble = message
            self._tell({"at": self._now(), "event": "trouble", "message": message})

    def _take(self, event: Event) -> None:
        """Take in what somebody wrote; an end that its pod cannot explain waits for the cluster's word."""
        slot, kind = str(event.get("slot")), event["event"]
        held = self._unsaid.get(slot)
        if held is None and kind == "ended" and (event.get("error") or {}).get("message") == KILLED:
            self._unsaid[slot] = [event]
        elif held is not None and kind == "paused":
            held.append(event)
        elif held is not None and kind == "ended" and event["attempt"] == held[0]["attempt"]:
            self._tell_all([event, *self._unsaid.pop(slot)[1:]])
        else:
            self._tell_all([*self._unsaid.pop(slot, ()), event])

    def _say_the_unsaid(self) -> None:
        for held in self._unsaid.values():
            self._tell_all(held)
        self._unsaid.clear()

    def _tell_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if event["event"] == "run-started" and self.view.status == "running":
            return
        is_known = self._is_known(event)
        self.view.add(event)
        if not is_known:
            self._tell_one(event)

    def _is_known(self, event: Event) -> bool:
        """Whether another watcher has written down what this one has told already."""
        if event["event"] == "ended":
            return self._has_ended(event["slot"], event["attempt"])
        if event["event"] == "waiting":
            told = self._wait_of(event["slot"])
            return str(event["reason"]) == ("" if told is None else told.reason)
        return False

    def _wait_of(self, slot: str) -> WaitView | None:
        """Why the pod of a slot waits, as far as it was told."""
        node = self.view.nodes.get(parse_slot(slot)[0])
        found = None if node is None else node.slots.get(slot)
        return None if found is None else found.wait


def counts_of(view: RunView) -> dict[str, int]:
    """How many slots are in which state at the end of a run."""
    counts: dict[str, int] = {}
    for node in view.nodes.values():
        for status, count in node.counts().items():
            counts[status] = counts.get(status, 0) + count
    return counts
