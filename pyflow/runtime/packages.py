"""The packages of a task in the process that runs it: on ``sys.path``, behind the standard library, before all else that is installed."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import Final

from pyflow.jsontext import Json
from pyflow.packed import PackedCall
from pyflow.runtime.program import Program

# Where packages may lie already: in the image, or brought along by pyflow. A task's own come before all of them.
_INSTALLED: Final = ("site-packages", "dist-packages", "pyflow-dependencies")


def packages_of(program: Program, node: int) -> Json:
    """Where the packages lie that a node asks for; None when it takes what there is."""
    # Of a node that does not exist, whoever runs it tells.
    found = program.place(node).node if program.has(node) else None
    return program.graph.options[found.options].environment if isinstance(found, PackedCall) else None


def add_packages(folder: Path) -> None:
    """Let imports find what is installed in a folder, here and in processes that are started from here.

    What this process has loaded already stays, above all cloudpickle, whose parts pickles of functions name.
    """
    before = sys.path.copy()
    # It also reads the folder's .pth files, by which a few packages make their parts importable.
    site.addsitedir(str(folder))
    added = [entry for entry in sys.path if entry not in before]
    first = next((i for i, entry in enumerate(before) if entry.endswith(_INSTALLED)), len(before))
    sys.path[:] = [*before[:first], *added, *before[first:]]
    _put_before("PYTHONPATH", str(folder))
    _put_before("PATH", str(folder / "bin"))


def _put_before(variable: str, folder: str) -> None:
    others = os.environ.get(variable)
    os.environ[variable] = f"{folder}{os.pathsep}{others}" if others else folder
