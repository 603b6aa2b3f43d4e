"""A DAG that is too large for one template → several, one within the other.

Argo's full CRDs allow 200 tasks in a DAG and 200 templates (argo-workflows v4.0.7, workflow_types.go). Steps that have nothing
to do with each other go into different groups, which run side by side; what hangs together is cut across, in the order of
the graph, and each piece waits for the pieces that it needs. Waiting for a piece is waiting for the whole of it: that is what cutting costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final

from pyflow.executors.argo.steps import Step

MOST_TASKS: Final = 150
"""Tasks in one DAG template; the rest of the 200 is room for what a cluster's own defaults may add."""


def split(
    steps: list[Step], *, is_lenient: bool, most: int = MOST_TASKS, numbers: Iterable[int] | None = None
) -> list[Step]:
    """The same steps, in groups where there are more than ``most``.

    Args:
        steps: Each behind the ones it waits for, or not: the order is kept where it may be.
        is_lenient: A group is waited for however it ends.
        most: How many steps a DAG may have.
        numbers: Where the numbers of groups come from.
    """
    numbers = iter(numbers if numbers is not None else count())
    while len(steps) > most:
        steps = _grouped(steps, is_lenient=is_lenient, most=most, numbers=numbers)
    return steps


def _grouped(steps: list[Step], *, is_lenient: bool, most: int, numbers: Iterable[int]) -> list[Step]:
    groups: list[list[Step]] = []
    for slab in _slabs(steps, most):
        groups += _packed(_components(slab), most)
    group_of = {step.name: index for index, group in enumerate(groups) for step in group}
    made = [Step(f"g{number}", group, f"g{number}") for number, group in zip(numbers, groups, strict=False)]
    for index, group in enumerate(groups):
        for step in group:
            for waits_for, kind in ((step.hard, "hard"), (step.soft, "soft")):
                for name in list(waits_for):
                    if group_of[name] == index:
                        continue
                    del waits_for[name]
                    other = made[group_of[name]].name
                    if is_lenient or kind == "soft":
                        made[index].soft.setdefault(other)
                    else:
                        made[index].hard.setdefault(other)
    for group_step in made:
        for name in group_step.hard:
            group_step.soft.pop(name, None)
    return made


def _slabs(steps: list[Step], most: int) -> list[list[Step]]:
    """Cuts across the DAG: each holds whole levels, as many as keep its largest connected part within ``most``."""
    levels = _levels(steps)
    slabs: list[list[Step]] = []
    current: list[Step] = []
    for level in levels:
        wider = current + level
        if current and max(map(len, _components(wider))) > most:
            slabs.append(current)
            wider = level
        current = wider
    return [*slabs, current]


def _levels(steps: list[Step]) -> list[list[Step]]:
    by_name = {step.name: step for step in steps}
    depth: dict[str, int] = {}
    for step in steps:
        # Without recursion: a chain may be thousands of steps long.
        stack = [step.name]
        while stack:
            name = stack[-1]
            waiting = [other for other in _waits_for(by_name[name]) if other not in depth]
            if waiting:
                stack += waiting
            else:
                depth[name] = 1 + max((depth[other] for other in _waits_for(by_name[name])), default=-1)
                stack.pop()
    levels: list[list[Step]] = [[] for _ in range(1 + max(depth.values()))]
    for step in steps:
        levels[depth[step.name]].append(step)
    return levels


def _components(steps: list[Step]) -> list[list[Step]]:
    """The parts of these steps that hang together, in the order of their first steps."""
    leader = {step.name: step.name for step in steps}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for step in steps:
        for other in _waits_for(step):
            if other in leader:
                leader[find(other)] = find(step.name)
    parts: dict[str, list[Step]] = {}
    for step in steps:
        parts.setdefault(find(step.name), []).append(step)
    return list(parts.values())


def _packed(parts: list[list[Step]], most: int) -> list[list[Step]]:
    """Parts put together to groups of at most ``most`` steps; a part that is larger is one level, and is cut."""
    groups: list[list[Step]] = []
    for part in parts:
        for start in range(0, len(part), most):
            piece = part[start : start + most]
            if groups and len(groups[-1]) + len(piece) <= most:
                groups[-1] = groups[-1] + piece
            else:
                groups.append(piece)
    return groups


def _waits_for(step: Step) -> list[str]:
    return [*step.hard, *step.soft]
