"""How the items of a map are shared out among pods, and what a pod tells the cluster about its result.

A cluster that schedules for itself knows small numbers only: how many pods a map has, which side of a branch is
taken. Whoever makes the manifest and whoever runs in a pod read both off the packed graph by the rules of this module,
so the manifest need not say more than which pod is which.

The index vector of a pod is one word: ``-`` outside of maps, ``3.0`` for item 0 within item 3, ``3.1/5`` for the second
of five parts of the items within item 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from pyflow.errors import IntegrityError
from pyflow.jsontext import Json
from pyflow.packed import (
    PackedBranch,
    PackedCall,
    PackedContainer,
    PackedGraph,
    PackedMap,
    PackedNode,
    PackedOptions,
    PackedRegion,
    PackedSelect,
    packed_regions_of,
)

NO_INDICES: Final = "-"
LAST: Final = "l"
"""Before the number of a node whose pod comes behind all others: it ends the run, too."""

Tell: TypeAlias = "tuple[str, int, int]"
"""``("side", fact, 0)``: which way a branch goes. ``("parts", fact, batch)``: how many pods a map has; batch 0
stands for one instance for each item."""


class Share(NamedTuple):
    """What one pod is to do of a node: one index vector, or a part of the items of the innermost map."""

    outer: tuple[int, ...]
    part: int | None = None
    parts: int = 1

    def items(self, length: int) -> range:
        """The items of this part, of so many in all."""
        part = self.part or 0
        return range(part * length // self.parts, (part + 1) * length // self.parts)


def parse_share(text: str) -> Share:
    """The share that a manifest spells.

    Raises:
        IntegrityError: It is none.
    """
    if text == NO_INDICES:
        return Share(())
    vector, slash, parts = text.partition("/")
    try:
        *outer, last = map(int, vector.split("."))
        share = Share((*outer, last)) if not slash else Share(tuple(outer), last, int(parts))
    except ValueError as error:
        raise IntegrityError(f"{text!r} is not the index vector of a pod.") from error
    if min((*share.outer, last)) < 0 or (slash and last >= share.parts):
        raise IntegrityError(f"{text!r} is not the index vector of a pod: a number in it is out of range.")
    return share


def parts_of(length: int, batch: int, most: int) -> int:
    """How many pods share so many items: no more than ``batch`` items in each unless that gives more than ``most`` pods."""
    if batch == 0:
        return length
    return -(-length // max(batch, -(-length // most), 1))


def is_shared(node: PackedMap) -> bool:
    """Whether a pod can do several items of a map: each task of the body for some items, before the next task.

    A body with branches, maps or containers of its own has one instance for each item.
    """
    return all(isinstance(inner, (PackedCall, PackedSelect)) for inner in node.body.nodes)


def has_pods(region: PackedRegion) -> bool:
    """Whether anything of a region runs in a pod."""
    return any(not isinstance(node, (PackedMap, PackedBranch, PackedSelect)) for node in region.walk())


def sources_of(node: PackedMap, maps: dict[int, PackedMap]) -> list[Json]:
    """What tells the length of each mapped input: expressions of the kinds sequence, list and items."""
    found: list[Json] = []
    for source in node.inputs:
        if source["each"]:
            value = source["value"]
            found += sources_of(maps[value["ref"]], maps) if "ref" in value else [value]
    return found


def known_length(source: Json) -> int | None:
    """The length of a mapped input that was known while tracing."""
    if "sequence" in source:
        return int(source["sequence"]["length"])
    return len(source["list"]) if "list" in source else None


def length_source(node: PackedMap, maps: dict[int, PackedMap]) -> Json | None:
    """The one expression that says how many items a map has; None when several must be compared at run time."""
    sources = sources_of(node, maps)
    lengths = {known_length(source) for source in sources}
    facts = {tuple(source["items"]) for source in sources if "items" in source}
    if None not in lengths:
        return sources[0] if len(lengths) == 1 else None
    return next(s for s in sources if "items" in s) if len(facts) == 1 and lengths == {None} else None


def maps_of(graph: PackedGraph) -> dict[int, PackedMap]:
    """All maps of a graph by their ids."""
    return {node.id: node for node in graph.walk() if isinstance(node, PackedMap)}


def batch_of(node: PackedMap) -> int:
    """Items that the author wants in one pod; 0 for a map that has an instance for each item."""
    return node.batch if is_shared(node) else 0


def tells_of(graph: PackedGraph) -> dict[int, list[Tell]]:
    """What each node tells the cluster, in the order of its numbers."""
    maps = maps_of(graph)
    tells: dict[int, dict[Tell, None]] = {}
    for node in graph.walk():
        if isinstance(node, PackedBranch):
            tells.setdefault(node.fact[0], {})["side", node.fact[1], 0] = None
        elif isinstance(node, PackedMap) and has_pods(node.body):
            source = length_source(node, maps)
            if source is not None and "items" in source:
                maker, fact = source["items"]
                tells.setdefault(maker, {})["parts", fact, batch_of(node)] = None
    return {node: list(told) for node, told in tells.items()}


def told(tells: Iterable[Tell], facts: list[Json], most: int) -> list[str]:
    """What a pod writes for the cluster, one text for each tell."""
    found = []
    for kind, fact, batch in tells:
        if kind == "side":
            found.append("1" if facts[fact] else "0")
        else:
            found.append(str(parts_of(int(facts[fact]["length"]), batch, most)))
    return found


def runnable_in(region: PackedRegion) -> list[PackedNode]:
    """The nodes of a region and of the branches in it; what maps hold is left out."""
    found: list[PackedNode] = []
    for node in region.nodes:
        found.append(node)
        if isinstance(node, PackedBranch):
            for inner in packed_regions_of(node):
                found += runnable_in(inner)
    return found


HELPER_RETRIES: Final = 2
HELPER_BACKOFF_S: Final = 2.0
"""Of pods that do pyflow's own work: what they do may be done again."""


MEMORY: Final = "pyflow-memory="
"""What a pod's last words begin with whose successor's memory depends on its own, as ``pyflow-memory=512Mi``."""

KILLED: Final = 137
"""The code of a process that was killed, as for lack of memory (128 + SIGKILL)."""


def growths_of(options: PackedOptions) -> int:
    """How often a pod that was killed for lack of memory is tried again with twice as much, though no retries are asked for."""
    if options.retries or not (options.memory_mib and options.memory_on_oom_mib):
        return 0
    return max(math.ceil(math.log2(options.memory_on_oom_mib / options.memory_mib)), 1)


def memory_mib_of(graph: PackedGraph, node: PackedCall | PackedContainer, attempt: int) -> int | None:
    """How much memory an attempt may use; None: unlimited.

    Where it grows, an attempt at a container task has twice as much as the one before. Of other tasks only the pod knows.
    """
    options = graph.options[node.options]
    if options.memory_mib is None or options.memory_on_oom_mib is None or isinstance(node, PackedCall):
        return options.memory_mib
    return min(options.memory_mib << (attempt - 1), options.memory_on_oom_mib)


def retries_of(graph: PackedGraph, node: int, *, exit_code: int = 0) -> tuple[int, float]:
    """How often a node is tried again after an attempt that ended so, and the pause before the second attempt in seconds."""
    found = graph.on_exit if graph.on_exit is not None and graph.on_exit.id == node else None
    known = found or next(n for n in graph.walk() if n.id == node)
    if graph.is_helper(known) or not isinstance(known, (PackedCall, PackedContainer)):
        return HELPER_RETRIES, HELPER_BACKOFF_S
    options = graph.options[known.options]
    return options.retries or (growths_of(options) if exit_code == KILLED else 0), options.backoff_s
