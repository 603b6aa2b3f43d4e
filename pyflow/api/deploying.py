"""A pipeline on a cluster for good: started by people, by programs and by a clock, its parameters given each time.

The theory. A template must be traced before anybody knows the values of its parameters, so the pipeline that is deployed gets
them from a task: the first one of each run, which reads what the cluster was given, checks it, and returns it. From then on
they are results like all others: committed, signed, parts of them taken, mapped over, compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pyflow.api.home import Workplace
from pyflow.api.opening import open_run
from pyflow.api.parameters import Row, check_size, check_texts, given, row_of, text_of, texts_of
from pyflow.api.run import Run
from pyflow.api.start import kept_job, packed_job, started_elsewhere
from pyflow.errors import DefinitionError, ExecutorError, NotFoundError
from pyflow.executors import Deployed, Job, RemoteExecutor, open_remote
from pyflow.graph import Graph
from pyflow.jsontext import dump
from pyflow.runs import given_text
from pyflow.tracing import Definition, trace, trace_template

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
"""Of a CronWorkflow, to which Argo adds the time: 52 characters (its workflow/validate)."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A pipeline that a cluster keeps, by its name: when it is deployed anew, by whomever, this is the new one."""

    name: str
    """Of the template, and of the schedule if there is one."""
    schedule: str | None
    """As it was when this was made."""
    _workplace: Workplace = field(repr=False)
    _deployed: Deployed = field(repr=False)

    def run(self, **values: Any) -> Run:
        """Start a run of what is deployed now; values that are left out have their defaults.

        Raises:
            DefinitionError: A parameter is unknown, missing, not plain, or of another type.
            ExecutorError: There is none any more, it belongs elsewhere, or the cluster does not take the run.
        """
        executor, deployed = self._there()
        return self._start(executor, deployed, texts_of(deployed.parameters, values, self.name))

    def run_with_texts(self, texts: Mapping[str, str]) -> Run:
        """Start a run with values as somebody types them in Argo's own page: JSON, or a text where there is none.

        Raises:
            DefinitionError: A parameter is unknown, missing, or of another type.
            ExecutorError: There is none any more, it belongs elsewhere, or the cluster does not take the run.
        """
        executor, deployed = self._there()
        check_texts(deployed.parameters, texts, self.name)
        return self._start(executor, deployed, texts)

    def _there(self) -> tuple[RemoteExecutor, Deployed]:
        """What the cluster keeps under the name now: somebody may have deployed it anew."""
        executor = open_remote("argo", self._workplace.settings)
        deployed = executor.deployed(self.name)
        _check_home(deployed, self._workplace)
        return executor, deployed

    def _start(self, executor: RemoteExecutor, deployed: Deployed, texts: Mapping[str, str]) -> Run:
        check_size(deployed.parameters, {**deployed.defaults, **texts}, self.name)
        # Read first: what cannot be recorded is not started.
        job = kept_job(self._workplace, deployed)
        begun = executor.start(deployed, texts)
        return open_run(self._workplace, started_elsewhere(job, begun, given_text(texts)), job.graph)

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
    """Put a pipeline on the cluster, or a new version in the place of an earlier one of its name, which stays when this raises.

    Raises:
        DefinitionError: Its body needs a value that is only given later, or a name or value cannot be used.
        ExecutorError: The cluster does not take it.
    """
    name = re.sub(r"[^a-z0-9]+", "-", definition.name.lower()).strip("-")
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{definition.name!r} is too long for a name on a cluster: at most 52 characters. Give it another by name=."
        )
    graph, rows, defaults = deployable(definition)
    _check_for_schedule(schedule, timezone, values, name)
    fixed = {} if schedule is None else texts_of(rows, values, name)
    check_size(rows, {**defaults, **fixed}, name)
    deployed = Deployed(
        name=name,
        pipeline=definition.name,
        parameters=rows,
        defaults=defaults,
        schedule=schedule,
        timezone=timezone,
        scheduled=fixed,
    )
    executor = open_remote("argo", workplace.settings)
    job = packed_job(graph, workplace, executor)
    with _pinned(job, name):
        kept = executor.deploy(job, deployed)
    return Deployment(name, schedule, workplace, kept)


def _check_for_schedule(schedule: str | None, timezone: str | None, values: Mapping[str, Any], name: str) -> None:
    """Refuse what is said of runs that start by themselves where none do.

    Raises:
        DefinitionError: Something is.
    """
    if schedule is not None or not (values or timezone):
        return
    what = f"Values ({', '.join(values)}) are" if values else "A timezone is"
    raise DefinitionError(
        f"{what} for the runs of {name!r} that start by themselves, and it has no schedule. Give one, schedule='0 6 * * *', or leave them "
        "out: whoever starts a run gives values, and the function says the defaults."
    )


@contextmanager
def _pinned(job: Job, name: str) -> Iterator[None]:
    """Let nobody collect what runs of a deployed pipeline will need, though there may be no run of it for long.

    Whatever looks like a digest below ``deployments`` is kept, so the packed graph itself is what is written. Until the cluster
    has taken the new one, what the one before needs stays pinned as well, and for good if the cluster has not.
    """
    blobs, key = job.content.blobs, job.content.keys.deployment(name)
    packed = json.loads(job.graph.to_bytes())
    text = dump({"graph": job.graph_digest, "size": job.graph_size, "packed": packed}).encode()
    try:
        before = bytes(blobs.get(key))
    except NotFoundError:
        before = b""
    blobs.put(key, [text, b"\n", before] if before else [text])
    try:
        yield
    except BaseException:
        if before:
            blobs.put(key, [before])
        else:
            blobs.delete([key])
        raise
    if before:
        blobs.put(key, [text])


def deployable(definition: Definition) -> tuple[Graph, list[Row], dict[str, str]]:
    """The graph of a pipeline that gets its parameters from its first task, what they are, and their defaults as texts.

    Raises:
        DefinitionError: The body needs the value of a parameter, or one has a name, type or default that cannot be used.
    """
    template = trace_template(definition)
    parameters = tuple(template.parameters)
    if not parameters:
        return template, [], {}
    if any(p.name == "json" for p in parameters):
        raise DefinitionError(
            f"Pipeline {definition.name!r} has a parameter 'json', a name that Argo keeps for itself. Call it otherwise."
        )
    rows = [row_of(p, definition.name) for p in parameters]
    wanted = [(name, annotation) for name, annotation, _ in rows]

    def body() -> Any:
        values: Any = given(wanted)
        return definition.fn(**{name: values[name] for name, _ in wanted})

    defaults = {
        p.name: text_of(p.default, annotation, p.name)
        for p, (_, annotation, has_default) in zip(parameters, rows, strict=True)
        if has_default
    }
    return trace(replace(definition, fn=body)), rows, defaults


def load_deployment(name: str, workplace: Workplace) -> Deployment:
    """A pipeline that the cluster keeps, by its name.

    Raises:
        ExecutorError: There is none, or pyflow did not put it there.
    """
    deployed = open_remote("argo", workplace.settings).deployed(name)
    return Deployment(deployed.name, deployed.schedule, workplace, deployed)


def _check_home(deployed: Deployed, workplace: Workplace) -> None:
    """Refuse to start what keeps its runs elsewhere than the settings here say: nobody would find them.

    Raises:
        ExecutorError: It does.
    """
    here = workplace.home.to_wire()
    names = [
        one for one in ("store", "project", "owner") if _plain(deployed.home.get(one, here[one])) != _plain(here[one])
    ]
    if names:
        kept = ", ".join(f"{one} {deployed.home[one]}" for one in names)
        said = ", ".join(f"{one} {here[one]}" for one in names)
        wanted = " ".join(f"PYFLOW_{one.upper()}={deployed.home[one]}" for one in names)
        raise ExecutorError(
            f"{deployed.name!r} was not started: it was deployed for {kept}, and the settings here say {said}. Start it where it was deployed, "
            f"or set {wanted}."
        )


def _plain(place: Any) -> str:
    return str(place).rstrip("/")
