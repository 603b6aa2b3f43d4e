"""Which slots of a run a pod stands for, as the parameters of its node and what it has told say."""

from __future__ import annotations

import re
from typing import Final

from pyflow.contract import parse_slot, slot_of
from pyflow.errors import IntegrityError
from pyflow.executors.argo.workflow import PodNode
from pyflow.runs import RunView
from pyflow.runtime import sharing

_NUMBER: Final = re.compile(r"[el]?(\d+)")
"""A node, the step that counts the items of a map, or the node behind all others."""
_CONTAINER: Final = re.compile(r"c(\d+)")
"""The template of a container task is its node's own."""


def slots_of(pod: PodNode, view: RunView) -> list[str]:
    """The slots that a pod is to run, in their order, as far as they are known; empty for one that runs none.

    Args:
        pod: The pod.
        view: The run so far: how many items a map has is found out while it runs.
    """
    node = _node_of(pod)
    share = _share_of(pod)
    if node is None or share is None:
        return []
    if share.part is None:
        return [slot_of(node, share.outer)]
    length = _length(node, share, view)
    return [slot_of(node, (*share.outer, index)) for index in share.items(length)]


def under_way(pod: PodNode, view: RunView) -> list[tuple[str, int]]:
    """Slots and attempts that a pod had begun and not ended, by its own words."""
    mine = set(slots_of(pod, view))
    return [
        (slot.slot, attempt.number)
        for node in view.nodes.values()
        for slot in node.slots.values()
        if slot.slot in mine
        for attempt in slot.attempts
        if attempt.status == "running" and attempt.number == pod.attempt
    ]


def _node_of(pod: PodNode) -> int | None:
    said = _NUMBER.fullmatch(pod.parameters.get("n", "")) or _CONTAINER.match(pod.template)
    return int(said[1]) if said else None


def _share_of(pod: PodNode) -> sharing.Share | None:
    try:
        return sharing.parse_share(pod.parameters.get("i", "-"))
    except IntegrityError:
        # A parameter whose value is not known yet still has its name in braces.
        return None


def _length(node: int, share: sharing.Share, view: RunView) -> int:
    """How many items the innermost map around a node has; of one that nobody has counted, as few as the pod stands for."""
    seen = view.nodes.get(node)
    if seen is not None and len(seen.maps) == 1:
        counted = view.nodes[seen.maps[0]].count
        if counted is not None:
            return counted
    indices = [parse_slot(slot)[1] for slot in (seen.slots if seen is not None else ())]
    known = [vector[-1] for vector in indices if vector[:-1] == share.outer]
    return max([*(index + 1 for index in known), share.parts])
