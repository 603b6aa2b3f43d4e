"""Container tasks on executors whose Python tasks run elsewhere: two launchers behind the face of one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyflow.contract import Invocation
from pyflow.errors import ExecutorError
from pyflow.executors.docker.executor import check_container_images, tell_on_stderr
from pyflow.executors.docker.launcher import DockerLauncher
from pyflow.executors.docker.leftovers import remove_leftovers
from pyflow.executors.docker.mounts import check_volumes
from pyflow.executors.docker.place import Place
from pyflow.executors.docker.settings import DockerSettings
from pyflow.executors.driver import Job
from pyflow.executors.launcher import Launcher, Report
from pyflow.images import open_engine, version_of
from pyflow.packed import PackedContainer, PackedGraph
from pyflow.secrecy import SecretFinder

_TURN_S: Final = 0.02
"""How long one launcher is waited for while the other has something under way, too."""


@dataclass(frozen=True, slots=True)
class ContainersBeside:
    """Runs the container tasks of an executor that runs Python tasks itself."""

    version: str
    """What the engine speaks, which has answered."""
    settings: DockerSettings
    secrets: SecretFinder

    @classmethod
    def checked(
        cls,
        graph: PackedGraph,
        settings: DockerSettings,
        *,
        executor: str,
        secrets: SecretFinder,
        tell: Callable[[str], None] = tell_on_stderr,
    ) -> ContainersBeside:
        """What the container tasks of a graph need.

        Raises:
            ExecutorError: No engine answers, or an image cannot be had; nothing has run.
        """
        names = [f"{n.name!r} (called at {n.at})" for n in graph.walk() if isinstance(n, PackedContainer)]
        try:
            engine = open_engine()
        except ExecutorError as error:
            raise ExecutorError(
                f"Container tasks need a Docker engine on executor {executor!r}, too: {', '.join(names)}. {error}"
            ) from error
        with contextlib.closing(engine):
            check_volumes(graph, settings.volumes, engine)
            check_container_images(graph, engine, tell)
            return cls(version_of(engine), settings, secrets)

    def launcher(self, job: Job, others: Launcher) -> Launcher:
        """A launcher of both kinds of tasks."""
        with contextlib.ExitStack() as undo:
            undo.callback(others.close)
            engine = undo.enter_context(contextlib.closing(open_engine(version=self.version)))
            remove_leftovers(engine)
            place = Place(engine, job, self.settings, {}, self.secrets)
            undo.pop_all()
        return _Both(others, DockerLauncher(place), job.graph, engine)


class _Both:
    """Python tasks go to the one launcher, container tasks to the other."""

    def __init__(self, others: Launcher, containers: DockerLauncher, graph: PackedGraph, engine: Any) -> None:
        self._engine = engine
        self._others = others
        self._containers = containers
        self._is_container = {node.id for node in graph.walk() if isinstance(node, PackedContainer)}
        self._others_open = 0

    @property
    def in_advance(self) -> int:
        """None: who is free is not known to both."""
        return 0

    def launch(self, invocations: Sequence[Invocation], timeout_s: float | None, *, in_advance: bool) -> str | None:
        """Give them to the launcher of their kind."""
        if invocations[0].node in self._is_container:
            return self._containers.launch(invocations, timeout_s, in_advance=False)
        self._others_open += len(invocations)
        return self._others.launch(invocations, timeout_s, in_advance=in_advance)

    def wait(self, timeout_s: float | None) -> list[Report]:
        """What has ended on either side, as soon as something has."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            is_busy = self._containers.is_busy
            reports = self._containers.wait(0) if is_busy else []
            if self._others_open or not is_busy:
                rest = None if until is None else max(0.0, until - time.monotonic())
                turn = rest if not is_busy else min(_TURN_S, _TURN_S if rest is None else rest)
                found = self._others.wait(0 if reports else turn)
                self._others_open -= len(found)
                reports += found
            elif not reports:
                reports = self._containers.wait(None if until is None else max(0.0, until - time.monotonic()))
            if reports or (until is not None and time.monotonic() >= until):
                return reports

    def recall(self) -> list[str]:
        """Forget what was launched in advance."""
        return self._others.recall()

    def end(self, slots: Sequence[str]) -> None:
        """End these, wherever they run."""
        self._containers.end(slots)
        self._others.end(slots)

    def close(self) -> None:
        """End all that runs."""
        with contextlib.closing(self._engine):
            try:
                self._others.close()
            finally:
                self._containers.close()
