"""The seam to places that go on with a run by themselves, whoever looks: they name their runs, and can be asked later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

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


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, when somebody asks whether a place can work."""

    name: str
    is_ok: bool
    detail: str
    fix: str = ""
    """What would mend it."""


@runtime_checkable
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

    def findings(self) -> Iterator[Finding]:
        """What the place says of itself and of who asks, one after the other."""

    def cancel(self, record: RunRecord) -> None:
        """End a run, so that its exit handler still runs.

        Raises:
            ExecutorError: The place cannot be asked now.
        """
