"""Drives a scheduler without running anything: events in an order that dice decide, and every command checked."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyflow.contract import parse_slot, slot_of
from pyflow.packed import PackedGraph, PackedMap, packed_regions_of
from pyflow.packing import pack
from pyflow.scheduling import (
    Advance,
    CancelRequested,
    Capacity,
    Due,
    Ended,
    Expand,
    Fail,
    Finish,
    Pause,
    Recalled,
    Scheduler,
    Skip,
    Start,
)
from pyflow.store import ContentStore, Keys, open_blobs

ENDLESS = Capacity(cpus=float("inf"))


def packed(pipeline: Any, *args: Any) -> PackedGraph:
    """The packed graph of a call of a pipeline."""
    return pack(pipeline.trace(*args), ContentStore(open_blobs("memory://scheduling"), Keys("p", "o"))).graph


@dataclass
class Simulation:
    """One run of a graph.

    Attributes:
        judge: Slot and attempt → ``"ok"``, ``"fail"`` or ``"final"`` (not to be tried again).
        facts: Slot and fact → what the node tells.
        advance: How many tasks may start beyond the capacity. Chains are sent along as well then, and some given back.
    """

    graph: PackedGraph
    capacity: Capacity = ENDLESS
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    judge: Callable[[str, int], str] = lambda _slot, _attempt: "ok"
    facts: Callable[[str, Any], Any] = lambda _slot, _fact: None
    cancel_at: int | None = None
    advance: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.graph, self.capacity)
        self.commands: list[Any] = []
        self.groups: list[list[str]] = []
        self.attempts: dict[str, int] = {}
        self.pausing: list[str] = []
        self.succeeded: set[str] = set()
        self.failed: list[str] = []
        self.skipped: set[str] = set()
        self.counts: dict[str, int] = {}
        self.most_at_once = 0
        self.is_cancelled = False
        self.events = 0
        self.nodes = {node.id: node for node in self.graph.walk()}
        self.maps = dict(_maps_around(self.graph.region, ()))

    def run(self) -> Simulation:
        """Go on until the scheduler has finished."""
        self.scheduler.handle(Advance(self.advance))
        self._take(self.scheduler.begin())
        while not isinstance(self.commands[-1] if self.commands else None, Finish):
            assert self.groups or self.pausing, "nothing runs, and nothing ends the run"
            self.events += 1
            if self.events == self.cancel_at:
                self.is_cancelled = True
                self.pausing.clear()
                self._take(self.scheduler.handle(CancelRequested()))
            elif self.pausing and (not self.groups or self.dice.random() < 0.3):
                self._take(self.scheduler.handle(Due(self.pausing.pop(self.dice.randrange(len(self.pausing))))))
            else:
                self._end_one()
                self._give_back()
        assert not self.groups, "something still runs"
        assert self.scheduler.handle(Due("999")) == []
        return self

    @property
    def finish(self) -> Finish:
        return self.commands[-1]

    def names_started(self) -> list[str]:
        """Nodes in the order of their first start, with map indices."""
        found = [str(slot) for c in self.commands if isinstance(c, Start) for slot in c.slots]
        return [self.name(slot) for slot in dict.fromkeys(found)]

    def name(self, slot: str) -> str:
        node, indices = parse_slot(slot)
        return self.nodes[node].name + "".join(f"[{i}]" for i in indices)

    def _end_one(self) -> None:
        group = self.groups[self.dice.randrange(len(self.groups))]
        slot = group.pop(0)
        verdict = self.judge(slot, self.attempts[slot])
        if verdict != "ok" and group and is_chain(slot, group[0]):
            self._forget(group, group[:])
        if not group:
            self.groups.remove(group)
        if verdict == "ok":
            self.succeeded.add(slot)
            node = self.nodes[parse_slot(slot)[0]]
            told = tuple(self.facts(slot, fact) for fact in node.facts)
            self._take(self.scheduler.handle(Ended(slot, is_success=True, facts=told)))
        else:
            self.failed.append(slot)
            self._take(self.scheduler.handle(Ended(slot, is_success=False, is_retryable=verdict == "fail")))

    def _give_back(self) -> None:
        """Sometimes a worker that goes on with a chain gives the rest of it back, as when the run is stopping."""
        for group in self.groups:
            if len(group) > 1 and is_chain(*group[:2]) and (self.scheduler.is_stopping or self.dice.random() < 0.2):
                rest = group[1:]
                self._forget(group, rest)
                for slot in rest:
                    self._take(self.scheduler.handle(Recalled(slot)))
                return

    def _forget(self, group: list[str], rest: list[str]) -> None:
        del group[len(group) - len(rest) :]
        for slot in rest:
            self.attempts[slot] -= 1

    def _take(self, commands: list[Any]) -> None:
        for command in commands:
            assert not self.commands or not isinstance(self.commands[-1], Finish), "a command after the last one"
            self.commands.append(command)
            if isinstance(command, Start):
                self._start(command)
            elif isinstance(command, Pause):
                self.pausing.append(str(command.slot))
                self.failed.remove(str(command.slot))
            elif isinstance(command, Skip):
                self.skipped.add(str(command.slot))
            elif isinstance(command, Expand):
                self.counts[str(command.slot)] = command.items
            elif isinstance(command, Fail):
                self.failed.append(str(command.slot))
        self._check_capacity()

    def _start(self, command: Start) -> None:
        assert not self.is_cancelled, "a start after the run was cancelled"
        slots = [str(slot) for slot in command.slots]
        for slot, attempt in zip(slots, command.attempts, strict=True):
            assert attempt == self.attempts.get(slot, 0) + 1, f"{slot} is started as attempt {attempt}"
            assert slot not in self.succeeded, f"{slot} had succeeded"
            self.attempts[slot] = attempt
            self._check_needs(slot, slots)
        self.groups.append(slots)

    def _check_needs(self, slot: str, group: list[str]) -> None:
        node, indices = parse_slot(slot)
        before = {parse_slot(other)[0] for other in group[: group.index(slot)]}
        for other in set(self.nodes[node].needs) - before:
            assert self._is_there(other, indices), f"{slot} was started before {other} had ended"
        if self.maps[node]:
            around = self.nodes[self.maps[node][-1]]
            for source in around.inputs:
                if source["each"] and isinstance(source["value"], dict) and "ref" in source["value"]:
                    made = self.nodes[source["value"]["ref"]]
                    for inner in (n for n in made.body.nodes if n.id not in before):
                        assert self._is_there(inner.id, indices), f"{slot} came before its item of {made.name}"

    def _is_there(self, node: int, indices: tuple[int, ...]) -> bool:
        """Whether a call has succeeded, or every call of a map has; other kinds are judged by what they hold."""
        found = self.nodes[node]
        if isinstance(found, PackedMap):
            outer = indices[: len(self.maps[node])]
            count = self.counts.get(slot_of(node, outer))
            return count is not None and all(
                self._is_there(inner.id, (*outer, i)) for i in range(count) for inner in found.body.nodes
            )
        if packed_regions_of(found) or not hasattr(found, "facts"):
            return True
        slot = slot_of(node, indices[: len(self.maps[node])])
        return slot in self.succeeded or slot in self.skipped

    def _check_capacity(self) -> None:
        options = [self.graph.options[self.nodes[parse_slot(group[0])[0]].options] for group in self.groups]
        self.most_at_once = max(self.most_at_once, len(options))
        assert len(options) <= self.capacity.tasks + self.advance
        if len(options) > 1 and not self.advance:
            assert sum(o.cpus for o in options) <= self.capacity.cpus + 1e-6
            assert sum(o.memory_mib or 0 for o in options) <= self.capacity.memory_mib


def is_chain(slot: str, following: str) -> bool:
    """Whether two slots of a group are of several nodes."""
    return parse_slot(slot)[0] != parse_slot(following)[0]


def _maps_around(region: Any, maps: tuple[int, ...]) -> Any:
    for node in region.nodes:
        yield node.id, maps
        for inner in packed_regions_of(node):
            yield from _maps_around(inner, (*maps, node.id) if isinstance(node, PackedMap) else maps)
