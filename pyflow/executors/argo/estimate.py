"""How large a workflow gets: the manifest, and the status that Argo keeps beside it in one object of 1 MiB.

Argo compresses the entries of pods when the object gets too large (argo-workflows, packer.go). Measured on Argo 4.0.7, 2,000
pods of maps then take 46 to 48 bytes each, and one of a failed pod more; a pod that may be tried again has two entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyflow.errors import ExecutorError
from pyflow.packed import PackedBranch, PackedCall, PackedContainer, PackedGraph, PackedMap, PackedRegion
from pyflow.runtime import sharing

ESTIMATE: Final = "pyflow/estimate"
"""The annotation of a workflow that says how large it will be."""
LIMIT_BYTES: Final = 2**20
"""Of the whole object (argo-workflows, MAX_WORKFLOW_SIZE)."""
_USABLE: Final = 0.9
_ENTRY_BYTES: Final = 48
_COMPLETION_BYTES: Final = 40
"""``status.taskResultsCompletionStatus`` has an entry for each pod, never compressed: the workflow's name, of 22 here,
and 18 bytes more."""
MOST_PODS: Final = 500
"""Of one map whose items can share pods: more would wait for each other on most clusters."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run is expected to take."""

    manifest_bytes: int
    pods: int
    is_least: bool
    """There are maps of whose length nothing is known, with an instance for each item: they count as one item."""
    status_bytes: int
    most: int
    """How many pods one map may have when its items can share them."""

    def __str__(self) -> str:
        pods = f"{'at least ' if self.is_least else 'at most '}{self.pods} pods"
        used = self.manifest_bytes + self.status_bytes
        return (
            f"{pods}; {self.manifest_bytes} bytes of manifest and about {self.status_bytes} of status, {used * 100 // LIMIT_BYTES} % "
            f"of what Argo takes; items of a map share {self.most} pods at most"
        )


def choose_most(graph: PackedGraph) -> int:
    """How many pods each map may have, so that all of them fit into one workflow."""
    region = graph.region
    fixed, _ = _pods(region, 0, sharing.maps_of(graph))
    with_one, _ = _pods(region, 1, sharing.maps_of(graph))
    per_step = with_one - fixed
    if per_step <= 0:
        return MOST_PODS
    room = _USABLE * LIMIT_BYTES / _bytes_of_pod(graph) / 2 - fixed
    return max(1, min(MOST_PODS, int(room / per_step)))


def estimate(graph: PackedGraph, manifest_bytes: int, most: int) -> Estimate:
    """What a run of a graph is expected to take.

    Raises:
        ExecutorError: It cannot fit into one workflow; the message says what would help.
    """
    pods, is_least = _pods(graph.region, most, sharing.maps_of(graph))
    found = Estimate(manifest_bytes, pods + 1, is_least, (pods + 1) * _bytes_of_pod(graph), most)
    if found.manifest_bytes + found.status_bytes > LIMIT_BYTES * _USABLE:
        raise ExecutorError(
            f"The pipeline {graph.name!r} does not fit into one workflow: {found}. Use f.map(...) for calls that differ in their "
            "arguments only, since items share pods; give more items to each pod with f.with_options(batch=...); or run parts of it "
            "as pipelines of their own, and hand their results on with run.artifact(...)."
        )
    return found


def _bytes_of_pod(graph: PackedGraph) -> int:
    may_retry = any(options.retries or options.memory_on_oom_mib for options in graph.options)
    return _ENTRY_BYTES * (2 if may_retry else 1) + _COMPLETION_BYTES


def _pods(region: PackedRegion, most: int, maps: dict[int, PackedMap]) -> tuple[int, bool]:
    """How many pods a region has at most; and whether there may be more, because a length is not known."""
    count, is_least = 0, False
    for node in region.nodes:
        if isinstance(node, (PackedCall, PackedContainer)):
            count += 1
        elif isinstance(node, PackedBranch):
            sides = [_pods(side, most, maps) for side in (node.then, node.otherwise)]
            count += max(pods for pods, _ in sides)
            is_least = is_least or any(least for _, least in sides)
        elif isinstance(node, PackedMap):
            pods, least = _pods(node.body, most, maps)
            times, is_known = _instances(node, most, maps)
            count += pods * times
            is_least = is_least or least or not is_known
    return count, is_least


def _instances(node: PackedMap, most: int, maps: dict[int, PackedMap]) -> tuple[int, bool]:
    source = sharing.length_source(node, maps)
    length = None if source is None else sharing.known_length(source)
    batch = sharing.batch_of(node)
    if length is None:
        return (most, True) if batch else (1, False)
    if batch:
        return (min(sharing.parts_of(length, batch, max(most, 1)), most), True)
    return length, True
