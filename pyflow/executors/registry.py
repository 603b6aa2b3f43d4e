"""Executors by name. One of the two homes of late imports: a name is loaded when it is asked for."""

from __future__ import annotations

from typing import Final, Protocol

from pyflow.errors import ConfigError
from pyflow.executors.driver import Ending, Job
from pyflow.graph import suggestion
from pyflow.packed import PackedGraph

NAMES: Final = ("inprocess", "local")
LATER: Final = ("docker", "argo")


class Executor(Protocol):
    """How a packed graph runs."""

    @property
    def name(self) -> str:
        """What a user calls it."""

    def check(self, graph: PackedGraph) -> None:
        """Refuse what cannot be honoured, before anything runs.

        Raises:
            ExecutorError: The graph asks for something that this executor cannot do.
        """

    def run(self, job: Job) -> Ending:
        """Carry a run out; returns when nothing of it runs any more."""


def open_executor(name: str) -> Executor:
    """The executor of that name.

    Raises:
        ConfigError: There is none.
    """
    if name == "inprocess":
        from pyflow.executors.selfdriven import InprocessExecutor

        return InprocessExecutor()
    if name == "local":
        from pyflow.executors.selfdriven import LocalExecutor

        return LocalExecutor()
    if name in LATER:
        raise ConfigError(
            f"Executor {name!r} is not available in this version of pyflow. There are: {', '.join(NAMES)}."
        )
    raise ConfigError(f"There is no executor {name!r}.{suggestion(name, NAMES)}")
