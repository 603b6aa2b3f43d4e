"""How far a run is, as numbers: a few counters for each task, brought up to date in about a microsecond an event.

``RunView`` knows every slot and attempt; this knows only how many of each there are, so that a map
of 10,000 items costs a display nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyflow.packed import PackedGraph
from pyflow.runs import Event, NodeView, RunView, Status, slot_name

MAX_FAILURES: Final = 20
"""How many failures are remembered with their logs."""

_WORST: Final[tuple[Status, ...]] = ("failed", "lost", "cancelled", "succeeded", "skipped")


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A slot that failed, as its last attempt said."""

    name: str
    attempt: int
    reason: str
    """Type of the error and its message."""
    log: tuple[str, int, int] | None
    """Writer, start and end of what it printed."""


class Line:
    """One task of the pipeline with all its items."""

    __slots__ = (
        "counts", "ended_at", "last_bad", "node", "reason", "retrying", "running", "started_at", "total",
        "waits",
    )  # fmt: skip

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self.total: int | None = None if node.maps else 1
        """How many items there are; None while nobody knows."""
        self.running = 0
        self.retrying = 0
        """Failed, and will be tried again."""
        self.counts: dict[Status, int] = {}
        """How many items ended in which state."""
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.last_bad: Status = "failed"
        self.reason = ""
        self.waits: dict[str, str] = {}
        """Why items of it wait for a place to run, by their slots."""

    @property
    def name(self) -> str:
        """The name of its node."""
        return self.node.name

    @property
    def is_map(self) -> bool:
        """Whether it may run any number of times."""
        return bool(self.node.maps)

    @property
    def ended(self) -> int:
        """How many items are over, whatever came of them."""
        return sum(self.counts.values())

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.total is not None and not self.running and not self.retrying and self.ended >= self.total

    @property
    def status(self) -> Status:
        """The state of all items together; the worst one when they are over."""
        if self.running or self.retrying:
            return "running"
        if not self.is_over:
            return "running" if self.ended else "pending"
        return next((status for status in _WORST if self.counts.get(status)), "succeeded")

    def seconds(self, now: float) -> float | None:
        """From the start of its first item to the end of its last, or until now; None when it has not started."""
        if self.started_at is None:
            return None
        end = self.ended_at if self.is_over and self.ended_at is not None else now
        return max(end - self.started_at, 0.0)

    @property
    def waits_for(self) -> str:
        """Why the first of the items that wait for a place does; empty when none does."""
        return next(iter(self.waits.values()), "")

    def notes(self) -> str:
        """What is worth saying beside the state: ``2 failed, 1 retrying``."""
        told: list[tuple[str, int]] = [(status, self.counts.get(status, 0)) for status in ("failed", "lost")]
        told += [("cancelled", self.counts.get("cancelled", 0)), ("retrying", self.retrying)]
        told += [("waiting", len(self.waits))]
        return ", ".join(f"{count} {word}" for word, count in told if count)


class Counter:
    """Counts what happens in one run.

    Args:
        graph: What runs.
        run_id: Its name.
        log_command: What to type here to see its logs; None: the command without a store.
        where: Where it goes on without its caller; empty when it does not.
    """

    def __init__(
        self, graph: PackedGraph, run_id: str, log_command: Callable[[], str] | None = None, where: str = ""
    ) -> None:
        self.pipeline = graph.name
        self.run_id = run_id
        self.where = where
        self.log_command = log_command or (lambda: f"pyflow logs {run_id}")
        self.lines: list[Line] = []
        self.status: Status = "pending"
        self.is_stopping = False
        self.trouble = ""
        """Why nobody can say how the run is; empty when all is well."""
        self.started_at: float | None = None
        self.now = 0.0
        """When the last event happened."""
        self.failures: list[FailedTask] = []
        self._names: dict[int, str] = {}
        self._line_by_key: dict[str, Line] = {}
        self._quiet: dict[str, Line] = {}
        self._below: dict[str, list[tuple[Line, bool]]] = {}
        for node in RunView(graph).nodes.values():
            self._add_node(node)

    def add(self, event: Event) -> Line | None:
        """Count one event; the answer is the line that it changed."""
        kind: str = event["event"]
        self.now = event["at"]
        slot: str | None = event.get("slot")
        if slot is None:
            self._add_to_run(kind, event)
            return None
        key = slot.partition(".")[0]
        if kind == "expanded":
            return self._expanded(key, event["count"])
        line = self._line_by_key.get(key)
        if line is None:
            return self._quiet_one(kind, key, event)
        if kind == "waiting":
            return self._waiting(line, slot, event["reason"])
        line.waits.pop(slot, None)
        if kind == "started":
            self._started(line, event)
        elif kind == "ended":
            line.running -= 1
            self._ended(line, slot, event["status"], event)
        elif kind == "skipped":
            line.counts["skipped"] = line.counts.get("skipped", 0) + 1
        elif kind == "paused":
            self._paused(line)
        return line

    @property
    def total(self) -> int:
        """How many items all lines have together, as far as that is known."""
        return sum(line.total or 0 for line in self.lines)

    def count(self, status: Status) -> int:
        """How many items ended in this state."""
        return sum(line.counts.get(status, 0) for line in self.lines)

    def seconds(self, now: float) -> float:
        """Since the run began."""
        return 0.0 if self.started_at is None else max(now - self.started_at, 0.0)

    def _waiting(self, line: Line, slot: str, reason: str) -> Line:
        if reason:
            line.waits[slot] = reason
        else:
            line.waits.pop(slot, None)
        return line

    def _started(self, line: Line, event: Event) -> None:
        line.running += 1
        if event["attempt"] > 1 and line.retrying:
            line.retrying -= 1
        if line.started_at is None:
            line.started_at = event["at"]

    def _ended(self, line: Line, slot: str, status: Status, event: Event) -> None:
        line.counts[status] = line.counts.get(status, 0) + 1
        line.ended_at = event["at"]
        if status in {"failed", "lost"}:
            line.last_bad = status
            error: Mapping[str, Any] = event.get("error") or {}
            reason = _reason(error)
            line.reason = line.reason or reason
            if len(self.failures) <= MAX_FAILURES:
                log = event.get("log")
                name = slot_name(line.node, slot, self._names)
                self.failures.append(
                    FailedTask(name, event.get("attempt", 0), reason, None if log is None else (log[0], log[1], log[2]))
                )

    def _paused(self, line: Line) -> None:
        """It failed, but will be tried again: the failure does not count."""
        line.counts[line.last_bad] = line.counts.get(line.last_bad, 1) - 1
        line.retrying += 1
        if not line.counts[line.last_bad]:
            line.reason = ""
        if self.failures and len(self.failures) <= MAX_FAILURES:
            self.failures.pop()

    def _expanded(self, key: str, count: int) -> Line | None:
        changed = None
        for line, is_innermost in self._below.get(key, ()):
            if is_innermost:
                line.total = (line.total or 0) + count
                changed = line
        return changed

    def _quiet_one(self, kind: str, key: str, event: Event) -> Line | None:
        """Something happened to a map or a choice itself."""
        if kind == "skipped" and key in self._below:
            return self._skipped_map(key)
        line = self._quiet.get(key)
        if kind != "failed" or line is None:
            return None
        line.total = (line.total or 0) + 1
        self._ended(line, event["slot"], "failed", event)
        if line not in self.lines:
            self.lines.append(line)
        return line

    def _skipped_map(self, key: str) -> Line | None:
        changed = None
        for line, _ in self._below[key]:
            line.total = (line.total or 0) + 1
            line.counts["skipped"] = line.counts.get("skipped", 0) + 1
            changed = line
        return changed

    def _add_to_run(self, kind: str, event: Event) -> None:
        if kind == "run-started":
            self.status, self.started_at = "running", event["at"]
        elif kind == "cancel-requested":
            self.is_stopping = True
        elif kind == "trouble":
            self.trouble = event["message"]
        elif kind == "run-ended":
            self.status = event["status"]
            for line in self.lines:
                _close(line, self.status)

    def _add_node(self, node: NodeView) -> None:
        self._names[node.id] = node.name
        if node.kind == "map":
            self._below[str(node.id)] = []
        if node.is_helper or node.kind == "branch":
            return
        line = Line(node)
        if node.kind in {"map", "select"}:
            # Nothing runs for these themselves; only their failure is news.
            line.total = 0
            self._quiet[str(node.id)] = line
            return
        self.lines.append(line)
        self._line_by_key[str(node.id)] = line
        for map_id in node.maps:
            self._below[str(map_id)].append((line, map_id == node.maps[-1]))


def _close(line: Line, status: Status) -> None:
    """What has not ended when the run has will never be."""
    if line.retrying:
        line.counts[line.last_bad] = line.counts.get(line.last_bad, 0) + line.retrying
    rest = line.running + max((line.total or 0) - line.ended - line.running, 0)
    line.running = line.retrying = 0
    if line.total is None:
        line.total = 0 if status == "succeeded" else 1
        rest = line.total
    if rest:
        line.counts["cancelled"] = line.counts.get("cancelled", 0) + rest


def _reason(error: Mapping[str, Any]) -> str:
    kind = str(error.get("type", "")).rpartition(".")[2]
    message = str(error.get("message", ""))
    return f"{kind}: {message}" if message else kind
