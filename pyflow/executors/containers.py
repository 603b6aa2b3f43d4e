"""What runs a graph's container tasks beside its Python tasks, where these run elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from pyflow.executors.driver import Job
from pyflow.executors.launcher import Launcher
from pyflow.packed import PackedGraph


class Beside(Protocol):
    """Runs the container tasks of an executor whose Python tasks run elsewhere."""

    def launcher(self, job: Job, others: Launcher) -> Launcher:
        """A launcher of both."""


OpenContainers: TypeAlias = "Callable[[PackedGraph], Beside | None]"
"""Gives what runs the container tasks of a graph; None when it has none. Raises ``ExecutorError`` when nothing can."""
