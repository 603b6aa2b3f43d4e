"""Marks of slots that failed for good, which pods leave for those that start later, since nobody drives the run; among them the wish to end it.

When the first failure is to stop a run, a pod that finds a mark runs nothing. When it is not, a pod finds out by the marks
whether something that it waits for has failed; it ends as cancelled then, and leaves a mark as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pyflow.contract import parse_slot
from pyflow.packed import PackedMap, PackedNode, PackedSelect, nodes_in, packed_regions_of
from pyflow.runtime.program import Program
from pyflow.store import CANCEL, ContentStore

Indices = tuple[int, ...]


class Marks(NamedTuple):
    """What was found when a pod started."""

    failed: tuple[tuple[int, Indices], ...] = ()
    """Node and index vector of each slot that has failed."""
    is_cancelled: bool = False

    @property
    def slots(self) -> frozenset[str]:
        """The slots that have failed."""
        return frozenset(".".join(map(str, (node, *indices))) for node, indices in self.failed)


def read_marks(content: ContentStore, run_id: str) -> Marks:
    """The marks that count. A run that has ended and was taken up again by the cluster's own means starts afresh."""
    found = list(content.blobs.list(content.keys.marks(run_id)))
    if not found:
        return Marks()
    ended = content.blobs.info(content.keys.summary(run_id))
    since = None if ended is None else ended.modified_at
    names = [info.key.rpartition("/")[2] for info in found if since is None or info.modified_at > since]
    return Marks(tuple(parse_slot(name) for name in names if name != CANCEL), CANCEL in names)


def mark_failed(content: ContentStore, run_id: str, slot: str) -> None:
    """Leave a mark, over one of an earlier end of the run."""
    content.blobs.put(content.keys.failed(run_id, slot), [b"{}"])


def is_spoilt(program: Program, node: int, indices: Indices, marks: Marks) -> bool:
    """Whether something has failed that a node waits for, or that a map or branch around it waits for."""
    if not marks.failed:
        return False
    place = program.place(node)
    if _waits_for_failed(program, place.node, indices, marks):
        return True
    if any(_waits_for_failed(program, branch, indices, marks) for branch, _ in place.guards):
        return True
    if not place.maps:
        return False
    around = place.maps[-1]
    outer, item = indices[:-1], indices[-1]
    lockstep = _lockstep(program.map_of(around))
    if any(_has_failed(program, source, outer, marks, item=item) for source in lockstep):
        return True
    return is_spoilt(program, around, outer, marks)


def _waits_for_failed(program: Program, node: PackedNode, indices: Indices, marks: Marks) -> bool:
    lockstep = _lockstep(node) if isinstance(node, PackedMap) else set()
    return any(
        other not in lockstep and _has_failed(program, other, indices, marks) for other in (*node.needs, *node.after)
    )


def _has_failed(program: Program, other: int, indices: Indices, marks: Marks, item: int | None = None) -> bool:
    """Whether any slot of a node, or of what it holds, has failed below an index vector that the node can see."""
    place = program.place(other)
    prefix = indices[: len(place.maps)] if item is None else (*indices, item)
    if isinstance(place.node, PackedSelect):
        used = {n for candidate in (*place.node.candidates, place.node.default) for n in nodes_in(candidate)}
        return any(_has_failed(program, n, indices, marks) for n in used)
    inside = set(_ids(place.node))
    return any(failed in inside and vector[: len(prefix)] == prefix for failed, vector in marks.failed)


def _lockstep(node: PackedMap) -> set[int]:
    """Maps whose items this map takes one by one."""
    return {i["value"]["ref"] for i in node.inputs if i["each"] and "ref" in i["value"]}


def _ids(node: PackedNode) -> Iterable[int]:
    yield node.id
    for region in packed_regions_of(node):
        yield from (inner.id for inner in region.walk())
