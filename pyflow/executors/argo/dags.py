"""Steps → DAG templates, as plain dicts: names of tasks, what they wait for, and the numbers they hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Final

from pyflow.executors.argo.split import split
from pyflow.executors.argo.steps import Out, Pod, Step, Text

Template = dict[str, Any]

# A task that was skipped, or never was because its branch was not taken, has ended well enough.
_ANYHOW: Final = "({0}||{0}.Failed||{0}.Errored||{0}.Omitted)"


class Dags:
    """Lays the steps of a workflow out in templates.

    Args:
        pod_template: Gives the name of the template for a pod.
        fail_fast: Whether the first failure keeps other tasks from starting.
    """

    def __init__(self, pod_template: Callable[[Step, Pod], str], *, fail_fast: bool) -> None:
        self.templates: list[Template] = []
        self._pod_template = pod_template
        self._fail_fast = fail_fast
        self._numbers = count(1)

    def add(self, name: str, steps: list[Step], *, has_index: bool) -> list[Out]:
        """Add the template of a DAG, and those below it; the answer are the numbers that its caller must hand in."""
        steps = split(steps, is_lenient=not self._fail_fast, numbers=self._numbers)
        made_here = {step.name for step in steps}
        via = {inner: step.name for step in steps if step.template == step.name for inner in _all_names(step)}
        asked: dict[Out, None] = {}
        tasks: list[Template] = []
        place = len(self.templates)
        for step in steps:
            inside = self._inner(step, has_index=has_index)
            task = self._task(step, inside, made_here, via, has_index=has_index)
            asked.update(dict.fromkeys(out for out in (*step.outs(), *inside)))
            tasks.append(task)
        needed = [out for out in asked if out.step not in made_here and out.step not in via]
        names = [*(["x"] if has_index else []), *(out.passed_as for out in needed)]
        template: Template = {"name": name}
        if names:
            template["inputs"] = {"parameters": [{"name": n} for n in names]}
        template["dag"] = {"tasks": tasks} if self._fail_fast else {"tasks": tasks, "failFast": False}
        self.templates.insert(place, template)
        return needed

    def hand_out(self, template: str, outs: Iterable[Out]) -> None:
        """Let the template of a group give numbers of its steps to its caller."""
        found = next(t for t in self.templates if t["name"] == template)
        given = found.setdefault("outputs", {"parameters": []})["parameters"]
        tasks = {task["name"]: task for task in found["dag"]["tasks"]}
        for out in outs:
            if any(given_already["name"] == out.passed_as for given_already in given):
                continue
            if out.step in tasks:
                source = f"{{{{tasks.{out.step}.outputs.parameters.{out.parameter}}}}}"
            else:
                group = next(t["template"] for t in tasks.values() if self._holds(t["template"], out.step))
                self.hand_out(group, [out])
                source = f"{{{{tasks.{group}.outputs.parameters.{out.passed_as}}}}}"
            given.append({"name": out.passed_as, "valueFrom": {"parameter": source, "default": "0"}})

    def _holds(self, template: str, step: str) -> bool:
        found = next((t for t in self.templates if t["name"] == template and "dag" in t), None)
        if found is None or not template.startswith("g"):
            return False
        return any(t["name"] == step or self._holds(t["template"], step) for t in found["dag"]["tasks"])

    def _inner(self, step: Step, *, has_index: bool) -> list[Out]:
        """Add the DAG that a step runs, if it does; the numbers that are to be handed in."""
        if isinstance(step.runs, Pod):
            step.template = self._pod_template(step, step.runs)
            return []
        return self.add(step.template, step.runs, has_index=has_index or "x" in step.arguments)

    def _task(
        self, step: Step, inside: list[Out], made_here: set[str], via: dict[str, str], *, has_index: bool
    ) -> Template:
        def reference(out: Out) -> str:
            if out.step in made_here:
                return f"tasks.{out.step}.outputs.parameters.{out.parameter}"
            if out.step in via:
                self.hand_out(via[out.step], [out])
                return f"tasks.{via[out.step]}.outputs.parameters.{out.passed_as}"
            return f"inputs.parameters.{out.passed_as}"

        def text(pieces: Text) -> str:
            return "".join(p if isinstance(p, str) else f"{{{{{reference(p)}}}}}" for p in pieces)

        values = {name: text(pieces) for name, pieces in step.arguments.items()}
        if has_index and step.template == step.name:
            values["x"] = "{{inputs.parameters.x}}"
        values |= {out.passed_as: f"{{{{{reference(out)}}}}}" for out in inside}
        task: Template = {"name": step.name, "template": step.template}
        if values:
            task["arguments"] = {"parameters": [{"name": name, "value": value} for name, value in values.items()]}
        if step.count is not None:
            task["withSequence"] = {"count": text(step.count)}
        if step.when is not None:
            out, is_taken = step.when
            task["when"] = f"{{{{{reference(out)}}}}} == {int(is_taken)}"
        depends = "&&".join([*step.hard, *(_ANYHOW.format(name) for name in step.soft)])
        if depends:
            task["depends"] = depends
        return task


def _all_names(step: Step) -> Iterator[str]:
    """The steps in a group and in the groups within it."""
    if isinstance(step.runs, list):
        for inner in step.runs:
            yield inner.name
            if inner.template == inner.name:
                yield from _all_names(inner)
