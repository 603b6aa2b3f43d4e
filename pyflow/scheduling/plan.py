"""A region as a list of steps that wait for each other: what a scheduler needs of a packed graph.

Branches are laid flat, because their nodes may refer to nodes around them: each inner step is *guarded*
by the branch's decision. A map is two steps, one that finds out how many items there are and one that
ends when all of them have; so is a branch. What happens inside a map's body is a plan of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pyflow.jsontext import Json
from pyflow.packed import PackedBranch, PackedGraph, PackedMap, PackedNode, PackedRegion, PackedSelect, nodes_in

Role: TypeAlias = Literal["run", "expand", "map-end", "decide", "branch-end", "select"]


@dataclass(slots=True)
class Step:
    """One thing that happens once in each instance of a region."""

    role: Role
    node: PackedNode
    waits_for: dict[int, None] = field(default_factory=dict)
    """Steps of this plan that must have ended first."""
    guard: tuple[int, bool] | None = None
    """A deciding step, and the side of it on which this step happens."""
    needs_success: frozenset[int] = frozenset()
    """Of ``waits_for``, those whose failure or absence makes this step impossible."""


@dataclass(slots=True)
class Plan:
    """The steps of one region, and who waits for whom."""

    steps: list[Step]
    followers: list[list[int]]
    """For each step, the steps that wait for it."""
    end_of: dict[int, int]
    """For each node, the step whose end is the node's end."""
    expand_of: dict[int, int]
    """For each map, the step that finds out how many items it has."""
    bodies: dict[int, Plan]
    """For each map, the plan of its body."""
    waiting: list[int] = field(default_factory=list)
    """For each step, for how many others it waits; a map has this list for each of its items."""
    first: list[int] = field(default_factory=list)
    """The steps that wait for none."""


def make_plan(graph: PackedGraph) -> Plan:
    """The plan of a graph's body."""
    return _plan(graph.region)


def _plan(region: PackedRegion) -> Plan:
    plan = Plan([], [], {}, {}, {})
    _add_region(plan, region, guard=None)
    # All steps exist before anyone waits, because ``b`` may come first in ``a >> b``.
    for step in plan.steps:
        _wait(plan, step)
    plan.followers = [[] for _ in plan.steps]
    for index, step in enumerate(plan.steps):
        for other in step.waits_for:
            plan.followers[other].append(index)
    plan.waiting = [len(step.waits_for) for step in plan.steps]
    plan.first = [index for index, count in enumerate(plan.waiting) if not count]
    return plan


def _add_region(plan: Plan, region: PackedRegion, guard: tuple[int, bool] | None) -> list[int]:
    """Add the steps of a region; the answer are the steps whose ends are the region's end."""
    return [_add_node(plan, node, guard) for node in region.nodes]


def _add_node(plan: Plan, node: PackedNode, guard: tuple[int, bool] | None) -> int:
    if isinstance(node, PackedMap):
        plan.bodies[node.id] = _plan(node.body)
        expand = plan.expand_of[node.id] = _add(plan, Step("expand", node, guard=guard))
        return _add(plan, Step("map-end", node, waits_for={expand: None}, guard=guard))
    if isinstance(node, PackedBranch):
        decision = _add(plan, Step("decide", node, guard=guard))
        inner = _add_region(plan, node.then, (decision, True)) + _add_region(plan, node.otherwise, (decision, False))
        return _add(plan, Step("branch-end", node, waits_for=dict.fromkeys([decision, *inner]), guard=guard))
    return _add(plan, Step("select" if isinstance(node, PackedSelect) else "run", node, guard=guard))


def _add(plan: Plan, step: Step) -> int:
    plan.steps.append(step)
    plan.end_of[step.node.id] = len(plan.steps) - 1
    return len(plan.steps) - 1


def _wait(plan: Plan, step: Step) -> None:
    if step.role in {"map-end", "branch-end"}:
        return
    node = step.node
    # A map over another map's items needs to know how many there are, not that they have ended.
    lockstep = set(lockstep_sources(node)) if isinstance(node, PackedMap) else set()
    needs = [plan.expand_of[n] if n in lockstep else plan.end_of[n] for n in node.needs]
    # A select may find that some of its candidates were skipped; everyone else needs all of them.
    step.needs_success = frozenset() if step.role == "select" else frozenset(needs)
    step.waits_for = dict.fromkeys([*needs, *(plan.end_of[n] for n in node.after)])
    if step.guard is not None:
        step.waits_for[step.guard[0]] = None


def lockstep_sources(node: PackedMap) -> list[int]:
    """Maps whose items this map takes one by one, and nothing else of them.

    An item of this map can then start as soon as the same item of its sources has ended.
    """
    one_by_one = [i["value"]["ref"] for i in node.inputs if is_lockstep(i)]
    others = {n for i in node.inputs if not is_lockstep(i) for n in nodes_in(i["value"])}
    return [n for n in one_by_one if n not in others]


def is_lockstep(map_input: Json) -> bool:
    """Whether an input of a map takes the items of another map in turn."""
    return bool(map_input["each"]) and isinstance(map_input["value"], dict) and "ref" in map_input["value"]
