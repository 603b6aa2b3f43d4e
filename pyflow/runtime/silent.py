"""Pods that failed and told nothing: what ended which slot, as the cluster tells whoever ends the run.

Kubernetes may refuse a pod, kill it, or find no image for it. Nothing of that is in the store, and by the time that somebody
looks the cluster may have forgotten it. So Argo hands over what it knows, as one word: base64 of a JSON list of
``[display name, message]``. A display name is that of a step, with the item of its loop and the attempt: ``n4(2:2)(0)``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from pyflow.contract import ExitCode, parse_slot
from pyflow.packed import PackedCall, PackedContainer, PackedMap, PackedNode
from pyflow.runtime import sharing
from pyflow.runtime.program import Program
from pyflow.runtime.reasons import Death, exit_code_in, why_it_died

_STEP = re.compile(r"n(\d+)(e?)(?:\((\d+):\d+\))?(?:\((\d+)\))?")


class SilentPod(NamedTuple):
    """One pod that failed."""

    node: int
    """Of the graph."""
    part: int | None
    """Which of the pods that share the items of a map."""
    attempt: int
    message: str
    """Why it failed, in the cluster's words."""


class SilentPods:
    """The pods of one run that failed.

    Args:
        word: What the cluster hands over.
        program: The graph.
        most: How many pods share the items of a map at most.
        count: How many items a map has.
        most_memory: The most memory that an attempt at a slot told of, in bytes; 0: of none.
    """

    def __init__(
        self,
        word: str,
        program: Program,
        most: int,
        count: Callable[[PackedMap, tuple[int, ...]], int],
        most_memory: Callable[[str, int], int],
    ) -> None:
        self._program = program
        self._most = most
        self._count = count
        self._most_memory = most_memory
        told = _told(word)
        self._messages = [message for _, message in told]
        nodes = {node.id: node for node in program.graph.walk()}
        pods = [_pod(name, message, nodes) for name, message in told]
        self._pods = sorted((pod for pod in pods if pod is not None), key=lambda pod: -pod.attempt)

    def death_of(self, slot: str, attempt: int) -> Death | None:
        """What ended an attempt that had begun; None where the cluster does not say it of this one."""
        found = {self._death(pod, slot) for pod in self._pods if pod.attempt == attempt and self._may_run(pod, slot)}
        # Of maps in maps a name does not tell which item it was: what is said of all that it may have been holds.
        return found.pop() if len(found) == 1 else None

    def never_begun(self, missing: Collection[str], told: Collection[str]) -> Iterator[tuple[str, int, Death]]:
        """Slot, attempt and reason, for each pod that ended before it could tell anything.

        Args:
            missing: Slots without a result.
            told: Slots of which a failure is known.
        """
        known = set(told)
        for pod in self._pods:
            slots = [slot for slot in missing if self._may_run(pod, slot)]
            # One that comes after another one's failure ends by that code; of a share the first failure says enough.
            if exit_code_in(pod.message) == ExitCode.CANCELLED or not slots or not known.isdisjoint(slots):
                continue
            known.add(slots[0])
            yield slots[0], pod.attempt, self._death(pod, slots[0])

    def first_words(self) -> str:
        """What the cluster says of the first pod or step; empty where it says nothing."""
        for pod in self._pods:
            name = self._program.place(pod.node).node.name
            return f"a pod of task {name!r} has failed, whatever it has left in the store: {pod.message}"
        return next(iter(self._messages), "")

    def _may_run(self, pod: SilentPod, slot: str) -> bool:
        node, indices = parse_slot(slot)
        if pod.node != node:
            return False
        maps = self._program.place(node).maps
        if pod.part is None or not maps:
            return True
        around = self._program.map_of(maps[-1])
        length = self._count(around, indices[:-1])
        parts = sharing.parts_of(length, sharing.batch_of(around), self._most)
        return indices[-1] in sharing.Share(indices[:-1], pod.part, parts).items(length)

    def _death(self, pod: SilentPod, slot: str) -> Death:
        node = self._program.place(pod.node).node
        memory_mib = None
        if isinstance(node, (PackedCall, PackedContainer)):
            memory_mib = sharing.memory_mib_of(self._program.graph, node, pod.attempt)
        return why_it_died(
            pod.message,
            exit_code_in(pod.message),
            memory_mib=memory_mib,
            most_memory_bytes=self._most_memory(slot, pod.attempt),
        )


def _told(word: str) -> list[tuple[str, str]]:
    """Display names and messages; none in a word that holds none, since a run must end all the same."""
    try:
        return [(str(name), str(message)) for name, message in json.loads(base64.b64decode(word, validate=True))]
    except (ValueError, TypeError):
        return []


def _pod(name: str, message: str, nodes: dict[int, PackedNode]) -> SilentPod | None:
    """The pod of a display name; None where that is another kind of step."""
    match = _STEP.fullmatch(name)
    step = nodes.get(int(match[1])) if match is not None else None
    if match is None or step is None:
        return None
    node = step.id
    if isinstance(step, PackedMap) and not match[2]:
        calls = [inner.id for inner in step.body.nodes if isinstance(inner, PackedCall)]
        if not sharing.is_shared(step) or len(calls) != 1:
            return None
        node = calls[0]
    part = int(match[3]) if match[3] else None
    return SilentPod(node, part, int(match[4]) + 1 if match[4] else 1, message)
