"""The seam to places that go on with a run by themselves, whoever looks: they name their runs, and can be asked later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pyflow.contract import Home
from pyflow.executors.driver import Ending, Job
from pyflow.jsontext import Json
from pyflow.packed import PackedGraph
from pyflow.runs import RunRecord, Status
from pyflow.store import ContentStore


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that a remote place has taken on."""

    run_id: str
    """As the place calls it."""
    place: dict[str, str] = field(default_factory=dict)
    """What finds it there again: kept in the run's record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A pipeline that a place keeps, to be started with parameters."""

    name: str
    pipeline: str
    parameters: list[tuple[str, str, bool]]
    """Name, annotation, and whether it has a default."""
    defaults: dict[str, str] = field(default_factory=dict)
    """As somebody would type them."""
    schedule: str | None = None
    """When it starts by itself, as cron spells it."""
    timezone: str | None = None
    scheduled: dict[str, str] = field(default_factory=dict)
    """The parameters of the runs that start by themselves."""
    graph_digest: str = ""
    graph_size: int = 0
    home: dict[str, str] = field(default_factory=dict)
    """Where its runs are kept, as ``Home.to_wire`` says it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, when somebody asks whether a place can work."""

    name: str
    is_ok: bool
    detail: str
    fix: str = ""
    """What would mend it."""


class RemoteExecutor(Protocol):
    """An executor whose runs go on without the process that submitted them."""

    @property
    def name(self) -> str:
        """What a user calls it."""

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs."""

    def compile(self, job: Job) -> dict[str, Json]:
        """What would be handed over, as plain JSON; nothing is asked of the place."""

    def begin(self, job: Job) -> Begun:
        """Hand a run over; ``job.run_id`` is empty, for the place names it. Returns when the place has taken it on."""

    def run(self, job: Job) -> Ending:
        """Follow a run that has begun to its end, or until its caller leaves it alone."""

    def status(self, record: RunRecord, content: ContentStore) -> Status:
        """How a run without a summary is. One that has ended without is given its summary now.

        Raises:
            ExecutorError: The place cannot be asked now.
        """

    def trouble(self, record: RunRecord) -> str:
        """Why the status that was given last may not be all that there is to say: what could not be asked; empty when all is well."""

    def deploy(self, job: Job, deployed: Deployed) -> Deployed:
        """Keep a job, to be started with parameters; one of that name is replaced."""

    def deployed(self, name: str) -> Deployed:
        """What is kept under a name."""

    def start(self, deployed: Deployed, parameters: Mapping[str, str]) -> Begun:
        """Start a run of what is kept."""

    def undeploy(self, deployed: Deployed) -> None:
        """Keep it no longer."""

    def findings(self) -> Iterator[Finding]:
        """What the place says of itself and of who asks, one after the other."""

    def unrecorded(self, run_id: str, home: Home, content: ContentStore) -> RunRecord | None:
        """The record of a run that the place has started by itself, before one is kept; None when it has none of this id and home.

        Raises:
            ExecutorError: The place cannot be asked now.
        """

    def cancel(self, record: RunRecord) -> None:
        """End a run, so that its exit handler still runs.

        Raises:
            ExecutorError: The place cannot be asked now.
        """
