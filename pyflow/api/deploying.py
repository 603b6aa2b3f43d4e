"""A pipeline on a cluster for good: started by people, by programs and by a clock, its parameters given each time.

The theory. A template must be traced before anybody knows the values of its parameters, so the pipeline that is deployed gets
them from a task: the first one of each run, which reads what the cluster was given, checks it, and returns it. From then on
they are results like all others: committed, signed, parts of them taken, mapped over, compared.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pyflow.api.home import Workplace
from pyflow.api.opening import open_run
from pyflow.api.run import Run
from pyflow.api.start import packed_job, started_elsewhere
from pyflow.errors import DefinitionError
from pyflow.executors import Deployed, Job, open_remote
from pyflow.graph import Graph, Parameter
from pyflow.jsontext import dump
from pyflow.tracing import Definition, task, trace, trace_template

VARIABLE: Final = "PYFLOW_PARAMETERS"
"""Where a pod finds what the run was given: base64 of Argo's own list of names and values."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
"""Of a CronWorkflow, to which Argo adds the time: 52 characters (its workflow/validate)."""

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAMES: Final = re.compile(r"[A-Za-z_][\w.]*")
_PLAIN: Final = frozenset(
    [
        "str",
        "int",
        "float",
        "bool",
        "list",
        "dict",
        "None",
        "True",
        "False",
        "Any",
        "object",
        "Literal",
        "Optional",
        "Union",
        "List",
        "Dict",
        "Sequence",
        "Mapping",
        "Iterable",
    ]
)
"""Names that the annotation of a parameter may have whose values JSON can hold."""


@task(name="parameters")
def given(wanted: list[tuple[str, str]]) -> dict[str, Any]:
    """The values that this run was started with, by name; each is checked against the type that its annotation says."""
    listed = json.loads(base64.b64decode(os.environ[VARIABLE]))
    texts = {one["name"]: one.get("value") for one in listed}
    return {name: value_of(texts.get(name), annotation, name) for name, annotation in wanted}


def _check_plain(name: str, annotation: str, pipeline: str) -> None:
    """Refuse what nobody can type on Argo's page, rather than give tasks something else than they are written for.

    Raises:
        DefinitionError: It is annotated with a type that JSON does not have.
    """
    others = {name.rpartition(".")[2] for name in _NAMES.findall(_QUOTED.sub("", annotation))} - _PLAIN
    if others:
        raise DefinitionError(
            f"The parameter {name!r} of pipeline {pipeline!r} is annotated {annotation}. A deployed pipeline takes texts, numbers, lists and "
            f"dicts, as Argo's own page does: annotate it str, or what else is plain, and let a task make {', '.join(sorted(others))} of it."
        )


def value_of(text: str | None, annotation: str, name: str) -> Any:
    """A parameter's value from what somebody typed: JSON, or for texts the text itself.

    Raises:
        ValueError: It is not of the type that the annotation says.
    """
    if text is None:
        raise ValueError(f"The parameter {name!r} was not given a value.")
    if annotation == "str":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    kind = {"int": int, "float": float, "bool": bool, "list": list, "dict": dict}.get(annotation.partition("[")[0])
    if kind is float and type(value) is int:
        value = float(value)
    if kind is not None and type(value) is not kind:
        raise ValueError(f"The parameter {name!r} must be of type {annotation}, got {text[:200]!r}.")
    return value


def text_of(value: Any, annotation: str, name: str) -> str:
    """What to type for a value.

    Raises:
        DefinitionError: It is not plain: JSON cannot hold it.
    """
    if annotation == "str" and isinstance(value, str):
        return value
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            f"The parameter {name!r} of a deployed pipeline takes plain values (texts, numbers, lists, dicts), got {type(value).__name__}. "
            "Store it first, and give its address."
        ) from error


@dataclass(frozen=True, slots=True)
class Deployment:
    """A pipeline that a cluster keeps."""

    name: str
    """Of the template, and of the schedule if there is one."""
    schedule: str | None
    _workplace: Workplace
    _deployed: Deployed

    def run(self, **values: Any) -> Run:
        """Start a run with these values; those that are left out have their defaults.

        Raises:
            DefinitionError: A parameter is unknown, missing, or not plain.
            ExecutorError: The cluster does not take it.
        """
        return self.run_with_texts(_texts(self._deployed.parameters, values, self.name))

    def run_with_texts(self, texts: Mapping[str, str]) -> Run:
        """Start a run with values as somebody types them in Argo's own page: JSON, or a text where there is none.

        Raises:
            DefinitionError: A parameter is unknown or missing.
            ExecutorError: The cluster does not take it.
        """
        _check(self._deployed.parameters, texts, self.name)
        executor = open_remote("argo", self._workplace.settings)
        begun = executor.start(self._deployed, texts)
        arguments = ", ".join(f"{name}={text[:40]}" for name, text in texts.items())[:200]
        record = started_elsewhere(self._workplace, self._deployed, begun, arguments)
        return open_run(self._workplace, record)

    def remove(self) -> None:
        """Take it off the cluster. Runs that have ended stay; one that the schedule has started goes with it if it still goes on.

        Kubernetes removes what belongs to a CronWorkflow together with it.
        """
        open_remote("argo", self._workplace.settings).undeploy(self._deployed)
        content = self._workplace.content
        content.blobs.delete([content.keys.deployment(self.name)])


def deploy(
    definition: Definition,
    workplace: Workplace,
    *,
    schedule: str | None,
    timezone: str | None,
    values: Mapping[str, Any],
) -> Deployment:
    """Put a pipeline on the cluster, or a new version in the place of an earlier one of its name.

    Raises:
        DefinitionError: Its body needs a value that is only given later, or a name or value cannot be used.
        ExecutorError: The cluster does not take it.
    """
    name = re.sub(r"[^a-z0-9]+", "-", definition.name.lower()).strip("-")
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{definition.name!r} is too long for a name on a cluster: at most 52 characters. Give it another by name=."
        )
    graph, parameters = deployable(definition)
    for parameter in parameters:
        _check_plain(parameter.name, parameter.annotation, definition.name)
    executor = open_remote("argo", workplace.settings)
    defaults = {p.name: text_of(p.default, p.annotation, p.name) for p in parameters if not p.is_required}
    fixed = _texts([(p.name, p.annotation, p.name in defaults) for p in parameters], values, name) if schedule else {}
    deployed = Deployed(
        name=name,
        pipeline=definition.name,
        parameters=[(p.name, p.annotation, not p.is_required) for p in parameters],
        defaults=defaults,
        schedule=schedule,
        timezone=timezone,
        scheduled=fixed,
    )
    job = packed_job(graph, workplace, executor)
    _pin(job, name)
    return Deployment(name, schedule, workplace, executor.deploy(job, deployed))


def _pin(job: Job, name: str) -> None:
    """Let nobody collect what runs of a deployed pipeline will need, though there may be no run of it for long.

    Whatever looks like a digest below ``deployments`` is kept, so the packed graph itself is what is written.
    """
    packed = json.loads(job.graph.to_bytes())
    text = dump({"graph": job.graph_digest, "size": job.graph_size, "packed": packed})
    job.content.blobs.put(job.content.keys.deployment(name), [text.encode()])


def deployable(definition: Definition) -> tuple[Graph, tuple[Parameter, ...]]:
    """The graph of a pipeline that gets its parameters from its first task, and what they are."""
    template = trace_template(definition)
    parameters = tuple(template.parameters)
    if not parameters:
        return template, ()
    if any(p.name == "json" for p in parameters):
        raise DefinitionError(
            f"Pipeline {definition.name!r} has a parameter 'json', a name that Argo keeps for itself. Call it otherwise."
        )
    wanted = [(p.name, p.annotation) for p in parameters]

    def body() -> Any:
        values: Any = given(wanted)
        return definition.fn(**{name: values[name] for name, _ in wanted})

    return trace(replace(definition, fn=body)), parameters


def load_deployment(name: str, workplace: Workplace) -> Deployment:
    """A pipeline that the cluster keeps, by its name.

    Raises:
        ExecutorError: There is none, or pyflow did not put it there.
    """
    deployed = open_remote("argo", workplace.settings).deployed(name)
    return Deployment(deployed.name, deployed.schedule, workplace, deployed)


def _texts(parameters: Iterable[tuple[str, str, bool]], values: Mapping[str, Any], where: str) -> dict[str, str]:
    """What to type for each value."""
    rows = list(parameters)
    _check(rows, values, where)
    annotations = {name: annotation for name, annotation, _ in rows}
    return {name: text_of(value, annotations[name], name) for name, value in values.items()}


def _check(parameters: Iterable[tuple[str, str, bool]], values: Mapping[str, Any], where: str) -> None:
    """Complain about all that is unknown or missing, at once."""
    known = {name: has_default for name, _, has_default in parameters}
    unknown = [name for name in values if name not in known]
    missing = [name for name, has_default in known.items() if not has_default and name not in values]
    if unknown or missing:
        parts = [f"has no parameter {', '.join(map(repr, unknown))}"] if unknown else []
        parts += [f"needs a value for {', '.join(map(repr, missing))}"] if missing else []
        raise DefinitionError(f"{where!r} {' and '.join(parts)}. It takes: {', '.join(known) or 'none'}.")
