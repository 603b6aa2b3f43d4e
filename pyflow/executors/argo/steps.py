"""Regions of a packed graph → steps of DAGs: who runs what, for which indices, behind whom.

A step is one task of a DAG before it is known in which template it ends up. What one step needs to know of another's
result, a side or a number of pods, is an ``Out``; ``dags.py`` turns it into a reference that holds where the step stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from pyflow.errors import ExecutorError
from pyflow.packed import (
    PackedBranch,
    PackedCall,
    PackedContainer,
    PackedGraph,
    PackedMap,
    PackedNode,
    PackedRegion,
    PackedSelect,
    packed_regions_of,
)
from pyflow.runtime import sharing


@dataclass(frozen=True, slots=True)
class Out:
    """A number that a step tells: the k-th of a node's tells."""

    step: str
    index: int

    @property
    def parameter(self) -> str:
        """Its name as an output of the step's pod."""
        return f"o{self.index}"

    @property
    def passed_as(self) -> str:
        """Its name where it is handed into or out of a template."""
        return f"{self.step}o{self.index}"


Text: TypeAlias = "tuple[str | Out, ...]"
"""A value of an argument, of literal pieces and numbers told by others."""


@dataclass(slots=True)
class Pod:
    """What a pod is made for: a node with its options, or one of pyflow's own jobs."""

    options: int | None
    tells: int = 0
    container: PackedContainer | None = None


@dataclass(slots=True)
class Step:
    """One task of a DAG."""

    name: str
    runs: Pod | list[Step]
    """A pod, or the steps of a DAG of its own."""
    template: str = ""
    """Name of the DAG's template; a pod's is found by what it asks for."""
    arguments: dict[str, Text] = field(default_factory=dict)
    hard: dict[str, None] = field(default_factory=dict)
    """Steps that must have ended well, or have been skipped."""
    soft: dict[str, None] = field(default_factory=dict)
    """Steps that must have ended, in whatever way: the pods see for themselves what they can do then."""
    count: Text | None = None
    """How many of it there are; None for one."""
    when: tuple[Out, bool] | None = None

    def outs(self) -> Iterator[Out]:
        """All numbers that the step itself refers to."""
        texts = [*self.arguments.values(), self.count or (), () if self.when is None else (self.when[0],)]
        for text in texts:
            yield from (piece for piece in text if isinstance(piece, Out))


def last_of(steps: list[Step]) -> Step | None:
    """The step behind all others, if there is one and it is one pod of a Python task: when it ends well, all is done."""
    awaited = {name for step in steps for name in (*step.hard, *step.soft)}
    ends = [step for step in steps if step.name not in awaited]
    if len(ends) != 1 or ends[0].count is not None:
        return None
    runs = ends[0].runs
    return ends[0] if isinstance(runs, Pod) and runs.container is None else None


class Stepper:
    """Turns the regions of one graph into steps."""

    def __init__(self, graph: PackedGraph, *, most: int) -> None:
        self.graph = graph
        self.most = most
        self.maps = sharing.maps_of(graph)
        self._tells = sharing.tells_of(graph)

    def steps(self) -> list[Step]:
        """The steps of the graph's body. A body without tasks has one that writes the run's record."""
        steps = _Region(self, self.graph.region, (), is_in_map=False, is_shared=False).steps()
        return steps or [Step("begin", Pod(None), arguments={"n": ("b",)})]

    def out(self, node: int, tell: sharing.Tell) -> Out:
        """The number by which a node tells something."""
        return Out(f"n{node}", self._tells[node].index(tell))

    def tell_count(self, node: int) -> int:
        """How many numbers a node tells."""
        return len(self._tells.get(node, ()))


class _Region:
    """The steps of one region at one place."""

    def __init__(
        self, stepper: Stepper, region: PackedRegion, prefix: Text, *, is_in_map: bool, is_shared: bool
    ) -> None:
        self._stepper = stepper
        self._region = region
        self._prefix = prefix
        self._is_in_map = is_in_map
        self._is_shared = is_shared
        self._is_lenient = not stepper.graph.fail_fast
        self._holder: dict[int, int] = {}
        for node in region.nodes:
            self._holder.update(dict.fromkeys(_ids(node), node.id))
        self._ends: dict[int, tuple[str, ...]] = {}
        """For each node of this region, the steps whose ends are its end."""
        self._nodes = {node.id: node for node in region.nodes}
        self._steps: list[Step] = []

    def steps(self) -> list[Step]:
        for node in self._region.nodes:
            self._ends[node.id] = self._names_of(node)
        for node in self._region.nodes:
            self._add(node)
        return self._steps

    def _below(self, *pieces: str | Out) -> Text:
        return (*self._prefix, ".", *pieces) if self._prefix else pieces

    def _names_of(self, node: PackedNode) -> tuple[str, ...]:
        """The steps that a node will have; none for one without pods."""
        if isinstance(node, PackedSelect):
            return ()
        if isinstance(node, PackedBranch):
            sides = (("t", node.then), ("f", node.otherwise))
            return tuple(f"n{node.id}{side}" for side, region in sides if sharing.has_pods(region))
        if isinstance(node, PackedMap) and not sharing.has_pods(node.body):
            return ()
        return (f"n{node.id}",)

    def _add(self, node: PackedNode) -> None:
        if isinstance(node, PackedCall):
            own = None if self._stepper.graph.is_helper(node) else node.options
            pod = Pod(own, self._stepper.tell_count(node.id))
            self._step(f"n{node.id}", node, pod, n=(str(node.id),), i=self._prefix)
        elif isinstance(node, PackedContainer):
            self._container(node)
        elif isinstance(node, PackedMap) and self._ends[node.id]:
            self._map(node)
        elif isinstance(node, PackedBranch):
            self._branch(node)

    def _step(self, name: str, node: PackedNode, runs: Pod | list[Step], **arguments: Text) -> Step:
        step = Step(name, runs, arguments={key: text for key, text in arguments.items() if text})
        self._wait(step, node)
        self._steps.append(step)
        return step

    def _container(self, node: PackedContainer) -> None:
        step = self._step(f"n{node.id}", node, Pod(node.options, container=node), i=self._prefix)
        step.template = f"c{node.id}"

    # Maps

    def _map(self, node: PackedMap) -> None:
        count, waits_for = self._count(node)
        shared = sharing.is_shared(node)
        which: Text = ("{{item}}", "/", *count) if shared else ("{{item}}",)
        calls = [inner for inner in node.body.nodes if isinstance(inner, PackedCall)]
        if shared and len(calls) == 1 and not calls[0].after:
            pod = Pod(calls[0].options, self._stepper.tell_count(calls[0].id))
            step = self._step(f"n{node.id}", node, pod, n=(str(calls[0].id),), i=self._below(*which))
        else:
            inner = _Region(
                self._stepper, node.body, ("{{inputs.parameters.x}}",), is_in_map=True, is_shared=shared
            ).steps()
            step = self._step(f"n{node.id}", node, inner, x=self._below(*which))
            step.template = f"m{node.id}"
        step.count = count
        step.hard.update(dict.fromkeys(waits_for))
        for name in waits_for:
            step.soft.pop(name, None)

    def _count(self, node: PackedMap) -> tuple[Text, list[str]]:
        """How many pods or instances a map has, and the steps in this region that tell it."""
        source = sharing.length_source(node, self._stepper.maps)
        batch = sharing.batch_of(node)
        if source is None:
            expand = self._step(f"n{node.id}e", node, Pod(None, 1), n=(f"e{node.id}",), i=self._prefix)
            return (Out(expand.name, 0),), [expand.name]
        length = sharing.known_length(source)
        if length is not None:
            return (str(sharing.parts_of(length, batch, self._stepper.most)),), []
        maker, fact = source["items"]
        out = self._stepper.out(maker, ("parts", fact, batch))
        return (out,), [out.step] if maker in self._nodes else []

    # Branches

    def _branch(self, node: PackedBranch) -> None:
        maker, fact = node.fact
        out = self._stepper.out(maker, ("side", fact, 0))
        for side, region, value in (("t", node.then, True), ("f", node.otherwise, False)):
            if not sharing.has_pods(region):
                continue
            inner = _Region(
                self._stepper, region, self._prefix, is_in_map=self._is_in_map, is_shared=self._is_shared
            ).steps()
            arguments = {"x": self._prefix} if self._is_in_map else {}
            step = self._step(f"n{node.id}{side}", node, inner, **arguments)
            step.template, step.when = f"b{node.id}{side}", (out, value)
            if maker in self._nodes:
                step.hard[out.step] = None
                step.soft.pop(out.step, None)

    # Who waits for whom

    def _wait(self, step: Step, node: PackedNode) -> None:
        lockstep = {
            i["value"]["ref"] for i in node.inputs if i["each"] and "ref" in i["value"]
        } if isinstance(node, PackedMap) else set()  # fmt: skip
        for other in [*node.needs, *node.after]:
            self._wait_for(step, other, is_exact=other not in lockstep)
        for other in _uses_of_inner(node):
            self._wait_for(step, other, is_exact=False)

    def _wait_for(self, step: Step, other: int, *, is_exact: bool, seen: frozenset[int] = frozenset()) -> None:
        """Let a step wait for a node, unless that is outside of this region, whose caller waits for it then."""
        holder = self._holder.get(other)
        if holder is None or holder in seen:
            return
        held_by = self._nodes[holder]
        names = self._ends[holder]
        if not names:  # nothing of it runs in a pod: it ends when what it uses has
            for further in [*held_by.needs, *held_by.after, *_uses_of_inner(held_by)]:
                self._wait_for(step, further, is_exact=is_exact, seen=seen | {holder})
            return
        is_exact = is_exact and holder == other and not self._is_shared and not isinstance(held_by, PackedBranch)
        for name in names:
            if name == step.name:
                raise ExecutorError(f"{held_by.name!r}, called at {held_by.at}, waits for itself on the cluster.")
            if is_exact or not self._is_lenient:
                step.hard[name] = None
                step.soft.pop(name, None)
            elif name not in step.hard:
                step.soft[name] = None


def _ids(node: PackedNode) -> Iterable[int]:
    """A node, and all that it holds."""
    yield node.id
    for region in packed_regions_of(node):
        yield from (inner.id for inner in region.walk())


def _uses_of_inner(node: PackedNode) -> list[int]:
    """The nodes outside of a branch that the nodes within use."""
    if not isinstance(node, PackedBranch):
        return []
    inside = set(_ids(node))
    uses = [u for region in packed_regions_of(node) for inner in region.walk() for u in (*inner.needs, *inner.after)]
    return [use for use in dict.fromkeys(uses) if use not in inside]
