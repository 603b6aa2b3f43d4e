"""Follows one run: what its pods write in the store, and what the cluster says of those that write nothing.

The theory. Pods tell the store when they start and end, so the store alone knows results and errors. The cluster knows
what a pod cannot tell: that it waits for room or an image, was killed, or never came to be. This watcher merges the two into the
events that displays and ``RunView`` understand, writes the deaths it finds down in a log of its own, and a summary when the
run's exit step could not. Any number of watchers may follow one run: what they write says the same.

A cluster that cannot be reached is no end: the store still tells how the run goes on, and how it ends.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pyflow.contract import ErrorRecord, ExitCode, parse_slot
from pyflow.errors import AccessDeniedError, ConfigError, ExecutorError, StoreUnavailableError, UnreachableError
from pyflow.executors.argo.cluster import Cluster
from pyflow.executors.argo.failure import MissingError
from pyflow.executors.argo.reasons import LONG_ON_ITS_WAY, Wait, is_out_of_memory, why_it_died, why_it_waits
from pyflow.executors.argo.slots import slots_of, under_way
from pyflow.executors.argo.workflow import FINAL, PodNode, is_shut_down, message_of, phase_of, pod_nodes
from pyflow.jsontext import Json
from pyflow.packed import PackedCall, PackedContainer, PackedGraph
from pyflow.runs import Event, EventReader, Journal, RunSummary, RunView, Status
from pyflow.runtime import LOST, most_memory_told
from pyflow.store import ContentStore

_LOOK_S: Final = 1.0
_MOST_S: Final = 15.0
_SHARE: Final = 20
"""Asking for a large workflow takes long: it is asked for no more than this part of the time."""
_PATIENCE_S: Final = 300.0
"""How long a pod may wait for what waiting will not mend, an image that is not there for example."""
_SLOW_S: Final = 5.0
"""When a pod that is on its way is worth a question."""
_VERY_SLOW_S: Final = 60.0
"""And when it is worth a word, though nobody has an answer."""
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
        self._reader = EventReader(content, run.run_id)
        self._journal = Journal(content, run.run_id, writer=f"watcher-{os.urandom(4).hex()}", is_new=True)
        self._memory = _memory_by_node(run.graph)
        self._told_waits: dict[str, str] = {}
        self._hopeless_since: dict[str, float] = {}
        self._pending_since: dict[str, float] = {}
        self._warned: dict[str, str] = {}
        self._asked_at: dict[str, float] = {}
        self._ask_warnings_at = float("-inf")
        self._trouble = ""
        self._ask_at = 0.0
        self._dead: set[str] = set()
        self._asked_for_words = 0
        self.view = RunView(run.graph)

    def begin(self) -> None:
        """Say that the run goes on since it was submitted, whoever says so later."""
        self._tell({"at": self._run.started_at, "event": "run-started"})

    def look(self) -> RunSummary | None:
        """Look once at the store and, at its pace, at the cluster; how the run ended, if it has."""
        summary = self._read_store()
        if summary is not None:
            self._end(summary)
            return summary
        if time.monotonic() < self._ask_at:
            return None
        workflow = self._ask()
        if workflow is None:
            return None
        # What a pod has written before it ended comes before what the cluster says of its end.
        summary = self._read_store()
        if summary is None:
            summary = self._judge(workflow)
        if summary is not None:
            self._end(summary)
        return summary

    def _read_store(self) -> RunSummary | None:
        try:
            # In this order: a summary is written after all events.
            summary = RunSummary.read(self._content, self._run.run_id)
            for event in self._reader.read_on():
                self._tell(event)
        except StoreUnavailableError as error:
            self._say_trouble(f"{error} The run goes on; its state is not known from here.")
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
            self._say_trouble(f"{error} The run goes on; what its pods write in the store is still shown.")
            found = None
        else:
            self._say_trouble("")
        took = time.monotonic() - began
        self._ask_at = time.monotonic() + min(max(_LOOK_S, took * _SHARE), _MOST_S)
        return found

    def _judge(self, workflow: Json) -> RunSummary | None:
        if workflow is False:
            return self._deleted()
        nodes = list(pod_nodes(workflow))
        self._note_deaths(nodes)
        self._note_waits(nodes, workflow)
        if phase_of(workflow) not in FINAL:
            return None
        return self._conclude(workflow)

    def _note_deaths(self, nodes: Sequence[PodNode]) -> None:
        """Write down the ends of pods that could not do so themselves."""
        fresh = [node for node in nodes if node.is_failed and node.id not in self._dead]
        for node in fresh:
            self._dead.add(node.id)
            for slot, attempt in self._lost_with(node):
                self._note_death(slot, attempt, node)
        if fresh:
            self._publish()

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
        most = most_memory_told(self._run.run_id, slot, attempt, self._content) if is_out_of_memory(node) else 0
        death = why_it_died(node, memory_mib=self._memory.get(parse_slot(slot)[0]), most_memory_bytes=most)
        if death.kind == "other":
            death = replace(death, reason=death.reason + self._last_words(node))
        error = ErrorRecord(type=death.error, message=death.reason, traceback=death.reason)
        status: Status = "failed" if death.kind == "timeout" else "lost"
        if self.view.is_cancel_requested or death.kind == "stopped":
            status = "cancelled"
        if not self._has_started(slot, attempt):
            self._tell(self._journal.add("started", slot=slot, attempt=attempt, worker=node.pod))
        self._tell(self._journal.add("ended", slot=slot, attempt=attempt, status=status, error=error.to_wire()))

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
        pending = [node for node in nodes if node.phase == "Pending"]
        waits = {node.id: why_it_waits(node.message) for node in pending}
        slow = [node for node in pending if self._pending_s(node) >= _SLOW_S and waits[node.id] is None]
        self._ask_about_one(slow)
        waits |= {node.id: self._warned_of(node) for node in slow}
        for node in nodes:
            wait = waits.get(node.id)
            self._tell_wait(node, wait)
            if wait is None or not wait.is_hopeless:
                self._hopeless_since.pop(node.id, None)
            elif self._now() - self._hopeless_since.setdefault(node.id, self._now()) > _PATIENCE_S:
                self._give_up(node, wait)
        if not phase_of(workflow) and self._now() - self._run.started_at > _UNNOTICED_S:
            self._say_trouble(
                f"Argo's controller has not looked at workflow {self._run.workflow!r} yet. Does it run, and does it watch "
                f"namespace {self._cluster.namespace!r}? Where there are several, argo={{'instance_id': ...}} says which one."
            )

    def _pending_s(self, node: PodNode) -> float:
        """How long a pod has been on its way, as far as anybody has looked."""
        return self._now() - self._pending_since.setdefault(node.id, self._now())

    def _ask_about_one(self, nodes: Sequence[PodNode]) -> None:
        """Ask what Kubernetes has warned of: now and then, about the pod that was asked about longest ago."""
        if not nodes or self._now() < self._ask_warnings_at:
            return
        self._ask_warnings_at = self._now() + _SLOW_S
        node = min(nodes, key=lambda node: self._asked_at.get(node.id, 0.0))
        self._asked_at[node.id] = self._now()
        try:
            self._warned[node.id] = next(reversed(self._cluster.warnings(node.pod)), "")
        except ExecutorError:
            # Not everybody may read events; the wait is then not explained.
            self._warned[node.id] = ""

    def _warned_of(self, node: PodNode) -> Wait | None:
        """Why a pod is slow: by what Kubernetes has warned of, if it was asked; and if it knows nothing, that."""
        warned = self._warned.get(node.id)
        if warned == "" and self._pending_s(node) >= _VERY_SLOW_S and not self._has_begun(node):
            return LONG_ON_ITS_WAY
        return why_it_waits(warned or "")

    def _has_begun(self, node: PodNode) -> bool:
        """Whether a pod that still gets ready has told of its own: one of a container task fetches what that reads."""
        return any(self._has_started(slot, node.attempt) for slot in slots_of(node, self.view))

    def _tell_wait(self, node: PodNode, wait: Wait | None) -> None:
        text = "" if wait is None else str(wait)
        if text == self._told_waits.get(node.id, ""):
            return
        self._told_waits[node.id] = text
        for slot in slots_of(node, self.view)[:1]:
            self._tell({"at": self._now(), "event": "waiting", "slot": slot, "reason": text})

    def _give_up(self, node: PodNode, wait: Wait) -> None:
        for slot in slots_of(node, self.view)[:1]:
            if not self._has_ended(slot, node.attempt):
                reason = f"its pod could not start within {_PATIENCE_S:.0f} s: {wait}"
                error = ErrorRecord(type=LOST, message=reason, traceback=reason)
                self._tell(self._journal.add("started", slot=slot, attempt=node.attempt, worker=node.pod))
                self._tell(
                    self._journal.add("ended", slot=slot, attempt=node.attempt, status="lost", error=error.to_wire())
                )
        self._publish()
        self._dead.add(node.id)
        self._cluster.stop(self._run.workflow)

    def _conclude(self, workflow: Json) -> RunSummary:
        """A summary for a workflow that ended without one: its exit step could not run."""
        asked = self._content.blobs.info(self._content.keys.cancel(self._run.run_id)) is not None
        failures = self._failures()
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
        asked = self._content.blobs.info(self._content.keys.cancel(self._run.run_id)) is not None
        if asked:
            return self._write_summary("cancelled", [])
        said = (
            f"Workflow {self._run.workflow!r} was deleted in namespace {self._cluster.namespace!r} before it had ended."
        )
        return self._write_summary("failed", [["", self._run.graph.name, "ExecutorError", said], *self._failures()])

    def _write_summary(self, status: Status, failures: list[Json]) -> RunSummary:
        self._tell(self._journal.add("run-ended", status=status))
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

    def _publish(self) -> None:
        """Let others see what was written down here, at once."""
        self._journal.flush()
        self._content.blobs.flush()

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
        if self.view.status != summary.status:
            self._tell({"at": summary.ended_at, "event": "run-ended", "status": summary.status})

    def _say_trouble(self, message: str) -> None:
        if message != self._trouble:
            self._trouble = message
            self._tell({"at": self._now(), "event": "trouble", "message": message})

    def _tell(self, event: Event) -> None:
        if event["event"] == "run-started" and self.view.status == "running":
            return
        self.view.add(event)
        self._tell_one(event)


def counts_of(view: RunView) -> dict[str, int]:
    """How many slots are in which state at the end of a run."""
    counts: dict[str, int] = {}
    for node in view.nodes.values():
        for status, count in node.counts().items():
            counts[status] = counts.get(status, 0) + count
    return counts


def _memory_by_node(graph: PackedGraph) -> dict[int, int]:
    found: dict[int, Any] = {
        node.id: graph.options[node.options].memory_mib
        for node in graph.walk()
        if isinstance(node, (PackedCall, PackedContainer))
    }
    return {node: memory for node, memory in found.items() if memory is not None}
