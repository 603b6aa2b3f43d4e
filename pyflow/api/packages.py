"""The packages of a pipeline's tasks, for the executor that is to run them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyflow.api.home import Workplace
from pyflow.executors import SUPPORT
from pyflow.graph import Graph
from pyflow.jsontext import Json
from pyflow.late import late

if TYPE_CHECKING:
    from pyflow.packing import packages
else:
    packages = late("pyflow.packing.packages")


def packages_for(graph: Graph, workplace: Workplace, executor: str) -> dict[int, Json]:
    """Where the packages lie that tasks ask for, on executors that bring them along: what ``pack`` takes.

    Raises:
        PyflowError: They cannot be had; the message says why, and where they are asked for.
    """
    if not graph.asking_for_packages() or SUPPORT["packages"][executor] != "honoured":
        return {}
    return packages.provide_packages(
        graph, workplace.content, in_containers=executor != "local", tell=teller(workplace)
    )


def teller(workplace: Workplace) -> Callable[[str], None]:
    """Who is told of what takes time before a run."""
    return _say_nothing if workplace.settings.progress is False else _say


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  somebody waits, and would wonder for what


def _say_nothing(_line: str) -> None:
    """Nobody wants to see progress."""
