"""What a run looks like now, put together from its events: for handles, listings and progress displays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pyflow.contract import parse_slot
from pyflow.jsontext import Json
from pyflow.packed import PackedGraph, PackedMap, PackedNode, PackedRegion, kind_of, packed_regions_of
from pyflow.runs.journal import Event
from pyflow.runs.state import ENDED, Status


@dataclass(slots=True)
class AttemptView:
    """One attempt at one slot."""

    slot: str
    number: int
    worker: str
    started_at: float
    status: Status = "running"
    duration_s: float | None = None
    peak_memory_bytes: int | None = None
    size_bytes: int | None = None
    """Of the result's payload."""
    preview: str = ""
    """Of the result; only of nodes outside of maps."""
    log: tuple[str, int, int] | None = None
    """Writer, start and end of what it printed."""
    error: Json = None


@dataclass(frozen=True, slots=True)
class WaitView:
    """Why the pod of a slot does not run yet."""

    kind: str
    reason: str
    since: float
    """When somebody who looked saw for the first time that it waits for something of this kind."""


@dataclass(slots=True)
class SlotView:
    """One node at one index vector."""

    slot: str
    status: Status = "pending"
    attempts: list[AttemptView] = field(default_factory=list)
    error: Json = None
    wait: WaitView | None = None
    """What keeps it from running, on a cluster."""


@dataclass(slots=True, repr=False)
class NodeView:
    """One node of the graph with all its slots: one, or as many as the map around it has items."""

    id: int
    name: str
    kind: str
    at: str
    maps: tuple[int, ...]
    """The maps around it."""
    is_helper: bool
    """pyflow added it; the author did not write it."""
    slots: dict[str, SlotView] = field(default_factory=dict)
    status: Status = "pending"
    count: int | None = None
    """Items of a map, once that is known."""

    @property
    def attempts(self) -> int:
        """How many attempts were made, at all slots together."""
        return sum(len(slot.attempts) for slot in self.slots.values())

    @property
    def duration_s(self) -> float | None:
        """Seconds of all attempts that have ended, together; None when there is none."""
        durations = [a.duration_s for slot in self.slots.values() for a in slot.attempts if a.duration_s is not None]
        return sum(durations) if durations else None

    @property
    def started_at(self) -> float | None:
        """When its first attempt started, in seconds since 1970."""
        return min((a.started_at for slot in self.slots.values() for a in slot.attempts), default=None)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all results together; None while there is none."""
        sizes = [a.size_bytes for slot in self.slots.values() for a in slot.attempts if a.size_bytes is not None]
        return sum(sizes) if sizes else None

    @property
    def preview(self) -> str:
        """What its producer said of its result; empty for items of maps."""
        return next((a.preview for slot in self.slots.values() for a in slot.attempts if a.preview), "")

    def __repr__(self) -> str:
        much = f", {len(self.slots)} items" if self.maps else ""
        took = f", {self.duration_s:.3g} s" if self.duration_s is not None else ""
        size = f", {self.size_bytes} bytes" if self.size_bytes is not None else ""
        return f"<{self.name}: {self.status}{much}, attempts {self.attempts}{took}{size}>"

    def counts(self) -> dict[Status, int]:
        """How many of its slots are in which state."""
        found: dict[Status, int] = {}
        for slot in self.slots.values():
            found[slot.status] = found.get(slot.status, 0) + 1
        return found


class RunView:
    """The state of a run, brought up to date by one event after the other."""

    def __init__(self, graph: PackedGraph, events: Iterable[Event] = ()) -> None:
        self.status: Status = "pending"
        self.is_cancel_requested = False
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.nodes: dict[int, NodeView] = {
            node.id: _node_view(graph, node, maps) for node, maps in _walk(graph.region, ())
        }
        if graph.on_exit is not None:
            self.nodes[graph.on_exit.id] = _node_view(graph, graph.on_exit, ())
        for event in events:
            self.add(event)

    def add(self, event: Event) -> NodeView | None:
        """Take one more event in; the answer is the node that it is about."""
        kind = event["event"]
        if "slot" in event:
            return self._add_to_node(kind, event)
        if kind == "run-started":
            self.status, self.started_at = "running", event["at"]
        elif kind == "run-ended":
            self.status, self.ended_at = event["status"], event["at"]
            self._end()
        elif kind == "cancel-requested":
            self.is_cancel_requested = True
        return None

    def by_name(self) -> dict[str, NodeView]:
        """The nodes that the author wrote, by their names, in the order of the trace.

        The node inside a map of one task has its map's name, and stands for both.
        """
        found: dict[str, NodeView] = {}
        for node in self.nodes.values():
            if node.is_helper or node.kind in {"select", "branch"}:
                continue
            outer = found.get(node.name)
            if outer is not None and node.count is None:
                node.count = outer.count
            found[node.name] = node
        return found

    def name_of(self, slot: str) -> str:
        """A slot as people write it: ``per_scene[3]/fit``."""
        node = self.nodes[parse_slot(slot)[0]]
        return slot_name(node, slot, {map_id: self.nodes[map_id].name for map_id in node.maps})

    def caller_died(self) -> None:
        """Nobody drives the run any more: what was under way is lost, and the rest will not be."""
        self.status = "lost"
        for node in self.nodes.values():
            for slot in node.slots.values():
                if slot.status == "running":
                    slot.status = "lost"
                    slot.attempts[-1].status = "lost"
        self._end()

    def _add_to_node(self, kind: str, event: Event) -> NodeView | None:
        slot_id = event["slot"]
        node = self.nodes.get(parse_slot(slot_id)[0])
        if node is None:
            return None
        if kind == "expanded":
            node.count = (node.count or 0) + event["count"]
            node.status = "running"
            return node
        slot = node.slots.get(slot_id)
        if slot is None:
            slot = node.slots[slot_id] = SlotView(slot_id)
        if kind == "started" and self.status == "pending":
            # On a cluster nobody says that the run as a whole began.
            self.status, self.started_at = "running", event["at"]
        _change(slot, kind, event)
        node.status = _status_of(node)
        return node

    def _end(self) -> None:
        """What has not ended when the run has will never be."""
        for node in self.nodes.values():
            for slot in node.slots.values():
                slot.wait = None
                if slot.status == "running":
                    # The run was left at once, and nobody waited for its end.
                    slot.attempts[-1].status = "cancelled"
                if slot.status in {"pending", "running"}:
                    # Also one that waited for another attempt: it had not failed for good.
                    slot.status = "cancelled"
            if node.slots:
                node.status = _status_of(node)
            elif node.status not in ENDED:
                node.status = self._status_without_slots(node)

    def _status_without_slots(self, node: NodeView) -> Status:
        """How a node ended that nothing was told of: what is in a map that was skipped was skipped, in one without items it has ended."""
        if any(self.nodes[outer].status == "skipped" for outer in node.maps):
            return "skipped"
        is_inside = bool(node.maps) or node.kind in {"map", "branch", "select"}
        return "succeeded" if is_inside and self.status == "succeeded" else "cancelled"


_WORST: tuple[Status, ...] = ("running", "failed", "lost", "cancelled", "pending", "succeeded", "skipped")


def slot_name(node: NodeView, slot: str, names: Mapping[int, str]) -> str:
    """A slot as people write it: each index behind the map that it counts.

    Args:
        node: The node of the slot.
        slot: ``12.3.0``.
        names: The names of the maps, by their ids.
    """
    _, *indices = slot.split(".")
    text = node.name
    for map_id, index in zip(reversed(node.maps), reversed(indices), strict=False):
        prefix = names[map_id]
        text = f"{text}[{index}]" if text == prefix else f"{prefix}[{index}]{text[len(prefix) :]}"
    return text


def _status_of(node: NodeView) -> Status:
    present = {slot.status for slot in node.slots.values()}
    return next((status for status in _WORST if status in present), "pending")


def _change(slot: SlotView, kind: str, event: Event) -> None:
    """What an event makes of a slot."""
    if kind == "waiting":
        slot.wait = _wait_after(slot.wait, event)
        return
    slot.wait = None
    if kind == "started":
        slot.attempts.append(AttemptView(slot.slot, event["attempt"], event["worker"], event["at"]))
        slot.status = "running"
    elif kind == "ended":
        _end_attempt(slot, event)
    elif kind == "paused":
        slot.status = "pending"
    elif kind == "skipped":
        slot.status = "skipped"
    elif kind == "failed":
        slot.status, slot.error = "failed", event.get("error")


def _wait_after(before: WaitView | None, event: Event) -> WaitView | None:
    reason, kind = event["reason"], event.get("kind", "")
    if not reason:
        return None
    return WaitView(kind, reason, before.since if before is not None and before.kind == kind else event["at"])


def _end_attempt(slot: SlotView, event: Event) -> None:
    if not slot.attempts or slot.attempts[-1].number <= event["attempt"]:
        # What is told of an attempt when the next one goes on already is nothing new of the slot.
        slot.status = event["status"]
        slot.error = event.get("error")
    attempt = next((a for a in reversed(slot.attempts) if a.number == event["attempt"]), None)
    if attempt is not None:
        attempt.status = event["status"]
        attempt.duration_s = event.get("duration_s", round(event["at"] - attempt.started_at, 4))
        attempt.peak_memory_bytes = event.get("peak_memory_bytes")
        attempt.size_bytes = event.get("size_bytes")
        attempt.preview = event.get("preview", "")
        attempt.error = event.get("error")
        if "log" in event:
            writer, start, end = event["log"]
            attempt.log = (writer, start, end)


def _walk(region: PackedRegion, maps: tuple[int, ...]) -> Iterator[tuple[PackedNode, tuple[int, ...]]]:
    for node in region.nodes:
        yield node, maps
        inside = (*maps, node.id) if isinstance(node, PackedMap) else maps
        for inner in packed_regions_of(node):
            yield from _walk(inner, inside)


def _node_view(graph: PackedGraph, node: PackedNode, maps: tuple[int, ...]) -> NodeView:
    return NodeView(node.id, node.name, kind_of(node), node.at, maps, graph.is_helper(node))


def failed_slots(view: RunView) -> list[tuple[str, SlotView]]:
    """What failed or was lost with an error, each with its name, in the order of the trace."""
    names = {node.id: node.name for node in view.nodes.values()}
    return [
        (slot_name(node, slot.slot, names), slot)
        for node in sorted(view.nodes.values(), key=lambda node: node.id)
        for slot in sorted(node.slots.values(), key=lambda slot: parse_slot(slot.slot))
        if slot.status in {"failed", "lost"} and slot.error
    ]
