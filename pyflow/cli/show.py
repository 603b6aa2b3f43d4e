"""``pyflow show``: what became of a run, as a tree of its tasks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click

from pyflow.api import Run
from pyflow.cli.common import json_option, run_argument, run_of, store_option
from pyflow.cli.ls import to_wire
from pyflow.cli.output import clock, has_colour, iso, print_json, width
from pyflow.packed import PackedBranch, PackedMap, PackedNode, PackedRegion
from pyflow.progress import COLOUR, SYMBOL
from pyflow.runs import ENDED, NodeView, RunView, SlotView, Status, is_caller_alive, slot_name
from pyflow.terminal import clean, coloured, columns, counted, cut, duration_text, one_line, padded, size_text

_MOST_NOTES: Final = 3
_MOST_ITEMS: Final = 10
_NAME: Final = 34


@click.command()
@run_argument
@store_option
@json_option
def show(run_id: str, store: str | None, *, as_json: bool) -> None:
    """Show a run: its tasks with states, times, sizes of results and errors.

    RUN is an id, a beginning or an end of one, or 'latest'.
    """
    run = run_of(run_id, store)
    report = Report(run, run.view())
    if as_json:
        print_json(report.to_wire())
        return
    click.echo("\n".join([*report.head(), "", *report.tree(), *report.foot()]))


@dataclass(slots=True)
class _Entry:
    """One line of the tree."""

    label: str
    node: NodeView | None
    below: list[_Entry] = field(default_factory=list)


class Report:
    """A run, ready to be told."""

    def __init__(self, run: Run, view: RunView) -> None:
        self._run = run
        self._view = view
        self._names = {node.id: node.name for node in view.nodes.values()}
        self._has_colour = has_colour()
        self._width = width()

    def head(self) -> list[str]:
        """What was started, where, and how it ended."""
        run, record, summary = self._run, self._run.record, self._run.summary
        status = run.status
        took = summary.duration_s if summary is not None else time.time() - record.started_at
        how = f"{status} after {duration_text(took)}" if summary is not None else status
        if status == "running":
            how = f"running for {duration_text(took)}"
        call = one_line(f"{record.pipeline}({record.arguments})")
        host = f"{record.host}, pid {record.pid}" if record.pid else record.host
        place = f"{record.executor} on {host}; Python {record.python}, pyflow {record.pyflow_version}"
        lines = [
            f"{run.id}  {coloured(how, COLOUR[status], is_on=self._has_colour)}",
            self._cut(f"  {call}"),
            self._cut(f"  started {clock(record.started_at)}, {one_line(place)}"),
        ]
        if record.where:
            lines.append(self._cut(f"  {one_line(record.where)}"))
        return lines + [f"  {line}" for line in self._explained(status)]

    def tree(self) -> list[str]:
        """The tasks, those inside of maps and branches below these."""
        graph = self._run.graph
        entries = self._entries(graph.region)
        if graph.on_exit is not None:
            entries.append(_Entry(f"{graph.on_exit.name} (on exit)", self._view.nodes[graph.on_exit.id]))
        rows = list(_flat(entries, 0))
        name_width = min(max((columns(self._label(e, depth)) for e, depth in rows), default=0), _NAME)
        lines: list[str] = []
        for entry, depth in rows:
            lines.append(self._line(entry, depth, name_width))
            below = [*self._trouble(entry.node), *self._waits(entry.node)]
            lines += [self._cut(f"{'  ' * (depth + 2)}{line}") for line in below]
        return lines

    def foot(self) -> list[str]:
        """What to do next."""
        failed = [name for name, slot in self._bad_slots() if slot.attempts]
        if not failed:
            return []
        return ["", f"The log of the first failure: {self._run.command('logs')} {shlex.quote(clean(failed[0]))}"]

    def to_wire(self) -> dict[str, Any]:
        """All of it as JSON."""
        summary = self._run.summary
        return {
            **to_wire(self._run),
            "ended_at": iso(summary.ended_at) if summary is not None else None,
            "explanation": " ".join(self._explained(self._run.status)) or None,
            "nodes": [self._node_wire(node) for node in self._view.by_name().values() if not _is_hidden(node)],
            "failures": [{"name": name, "slot": slot.slot, **_error_wire(slot)} for name, slot in self._bad_slots()],
        }

    def _explained(self, status: Status) -> list[str]:
        record, on_exit = self._run.record, self._run.graph.on_exit
        if status == "lost":
            text = [f"The process that ran it (pid {record.pid}) ended before the run did. What had finished is kept."]
            if on_exit is not None:
                text.append(f"Its exit handler {on_exit.name!r} did not run: nobody was left to run it.")
            return text
        if status not in ENDED:
            return self._explained_while_it_goes_on()
        summary = self._run.summary
        if summary is not None and summary.failures and not summary.failures[0][0]:
            return [one_line(f"It could not be carried out: {summary.failures[0][2]}: {summary.failures[0][3]}")]
        return []

    def _explained_while_it_goes_on(self) -> list[str]:
        record = self._run.record
        told = []
        if self._view.is_cancel_requested:
            told.append("It was asked to end; what runs is being ended.")
        if self._run.trouble:
            told.append(one_line(self._run.trouble))
        elif not record.place and is_caller_alive(record) is None:
            told.append(f"It was started on {record.host}; this machine cannot see whether it still goes on.")
        return told

    def _entries(self, region: PackedRegion) -> list[_Entry]:
        return [entry for node in region.nodes for entry in self._entries_of(node)]

    def _entries_of(self, node: PackedNode) -> Iterator[_Entry]:
        view = self._view.nodes[node.id]
        if isinstance(node, PackedBranch):
            yield from self._entries(node.then)
            yield from self._entries(node.otherwise)
        elif isinstance(node, PackedMap):
            inner = self._entries(node.body)
            if len(inner) == 1 and inner[0].label == node.name:
                inner[0].node = _joined(inner[0].node, view)
                yield inner[0]
            else:
                for entry in inner:
                    if entry.node is not None and len(entry.node.maps) == 1:
                        entry.node.count = view.count
                yield _Entry(f"{node.name} × {'?' if view.count is None else view.count}", view, inner)
        elif not _is_hidden(view):
            yield _Entry(node.name, view)

    def _label(self, entry: _Entry, depth: int) -> str:
        return "  " * depth + one_line(entry.label, 80)

    def _line(self, entry: _Entry, depth: int, name_width: int) -> str:
        name = padded(cut(self._label(entry, depth), name_width), name_width)
        node = entry.node
        if node is None or entry.below:
            return self._cut(f"    {name}").rstrip()
        status, many = node.status, bool(node.maps)
        span, size = _span(node, self._run), node.size_bytes
        what = _counts_text(node) if many else ("" if status in {"succeeded", "pending"} else status)
        cells = [
            f"{'' if span is None else duration_text(span):>12}",
            f"{'' if size is None else size_text(size):>9}",
            ", ".join(word for word in (what, _attempts_text(node)) if word) or one_line(node.preview),
        ]
        body = cut(f"{name}  {'  '.join(cells)}".rstrip(), (self._width or 400) - 4)
        symbol = coloured(SYMBOL[status], COLOUR[status], is_on=self._has_colour)
        return (
            f"  {symbol} {coloured(body, 'bright_black', is_on=self._has_colour and status in {'pending', 'skipped'})}"
        )

    def _trouble(self, node: NodeView | None) -> list[str]:
        """The errors of a node; of a map the first few."""
        bad = [] if node is None else [s for s in _in_order(node.slots.values()) if s.status in {"failed", "lost"}]
        lines = []
        for slot in bad[:_MOST_ITEMS]:
            reason = _reason(slot)
            name = slot_name(node, slot.slot, self._names) if node is not None and node.maps else ""
            told = [f"{name}: {reason}" if name and reason else name or reason, *_notes(slot, reason)]
            lines += [one_line(line, 400) for line in told]
        if len(bad) > _MOST_ITEMS:
            lines.append(f"… and {len(bad) - _MOST_ITEMS} more")
        return [line for line in lines if line]

    def _waits(self, node: NodeView | None) -> list[str]:
        """What keeps the pods of a node from running; of a map, for each reason the first."""
        first: dict[str, SlotView] = {}
        for slot in [] if node is None else _in_order(node.slots.values()):
            if slot.wait is not None:
                first.setdefault(slot.wait.reason, slot)
        lines = []
        for reason, slot in first.items():
            assert slot.wait is not None
            name = f"{slot_name(node, slot.slot, self._names)} " if node is not None and node.maps else ""
            since = duration_text(max(time.time() - slot.wait.since, 0.0))
            lines.append(one_line(f"{name}waits, seen for {since}: {reason}", 700))
        return lines

    def _bad_slots(self) -> list[tuple[str, SlotView]]:
        return [
            (slot_name(node, slot.slot, self._names), slot)
            for node in sorted(self._view.nodes.values(), key=lambda node: node.id)
            for slot in _in_order(node.slots.values())
            if slot.status in {"failed", "lost"}
        ]

    def _node_wire(self, node: NodeView) -> dict[str, Any]:
        return {
            "name": node.name,
            "kind": node.kind,
            "at": node.at,
            "status": node.status,
            "items": dict(node.counts()) if node.maps else None,
            "count": node.count,
            "attempts": node.attempts,
            "started_at": iso(node.started_at),
            "duration_s": _span(node, self._run),
            "work_s": node.duration_s,
            "size_bytes": node.size_bytes,
            "preview": node.preview or None,
            "waits": next((slot.wait.reason for slot in _in_order(node.slots.values()) if slot.wait), None),
        }

    def _cut(self, line: str) -> str:
        return line if self._width is None else cut(line, self._width)


def _is_hidden(node: NodeView) -> bool:
    """Whether the author need not see it: what pyflow added is of interest only when it was that which failed."""
    is_helper = node.is_helper and node.status not in {"failed", "lost"}
    return is_helper or node.kind == "branch" or (node.kind == "select" and not node.slots)


def _joined(node: NodeView | None, outer: NodeView) -> NodeView | None:
    """A mapped task; how many items there are, and that its map failed or was skipped, its map knows."""
    if node is not None and not node.slots and outer.slots:
        return outer
    if node is not None and node.count is None:
        node.count = outer.count
    return node


def _flat(entries: Sequence[_Entry], depth: int) -> Iterator[tuple[_Entry, int]]:
    for entry in entries:
        yield entry, depth
        yield from _flat(entry.below, depth + 1)


def _in_order(slots: Any) -> list[SlotView]:
    return sorted(slots, key=lambda slot: tuple(map(int, slot.slot.split("."))))


def _span(node: NodeView, run: Run) -> float | None:
    """From the start of the first attempt to the end of the last."""
    attempts = [attempt for slot in node.slots.values() for attempt in slot.attempts]
    if not attempts:
        return None
    is_live = run.status not in ENDED
    ends = [
        a.started_at + a.duration_s if a.duration_s is not None else time.time() if is_live else a.started_at
        for a in attempts
    ]
    return round(max(max(ends) - min(a.started_at for a in attempts), 0.0), 4)


def _counts_text(node: NodeView) -> str:
    counts: Mapping[Status, int] = node.counts()
    known = sum(counts.values())
    total = max(node.count or 0, known)
    others = [f"{count} {status}" for status, count in counts.items() if status != "succeeded"]
    if total > known:
        others.append(f"{total - known} not started")
    return f"{counts.get('succeeded', 0)} of {counted(total, 'item')}" + (f", {', '.join(others)}" if others else "")


def _attempts_text(node: NodeView) -> str:
    return f"{node.attempts} attempts" if node.attempts > max(len(node.slots), 1) else ""


def _reason(slot: SlotView) -> str:
    if not slot.error:
        return ""
    kind = str(slot.error.get("type", "")).rpartition(".")[2]
    message = str(slot.error.get("message", ""))
    return f"{kind}: {message}" if message else kind


def _notes(slot: SlotView, reason: str) -> list[str]:
    """What stands behind an error's message in its traceback: which condition it was, which part of a result."""
    _, found, notes = str((slot.error or {}).get("traceback", "")).rpartition(f"{reason}\n")
    return notes.splitlines()[:_MOST_NOTES] if found else []


def _error_wire(slot: SlotView) -> dict[str, Any]:
    error: Mapping[str, Any] = slot.error or {}
    return {
        "status": slot.status,
        "attempts": len(slot.attempts),
        "type": error.get("type"),
        "message": error.get("message"),
        "traceback": error.get("traceback"),
    }
