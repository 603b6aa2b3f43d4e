"""The first of pyflow that a process loads where tasks run: on the standard library alone, and as little of that as can be.

Images of Python come without compiled modules, and on a read-only root nobody can keep what they compile: the modules
that a task's start needs take half a second of processor time in each container. So pyflow brings them along, compiled.
Each holds for exactly the source that it was made of, which Python itself checks; a module of another make is
compiled as ever.
"""

from __future__ import annotations

import marshal
import os
import sys

# By the name of what is frozen into Python: importlib itself would be compiled for this, and half of warnings with it.
from _frozen_importlib_external import PathFinder, SourceFileLoader

TYPE_CHECKING = False  # as type checkers know it, for typing is a good part of what is to be brought along
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    __loader__: Any

DEPENDENCIES = "pyflow-dependencies"
LIBRARY = "pyflow-library"
"""Compiled modules of the standard library by their names, as ``marshal`` writes them."""
FILES = "pyflow-files"
"""Files that have to lie in a folder by their paths there: packages that read data beside their code."""


class _Library:
    """Finds modules of the standard library whose compiled form pyflow has brought along and the image has not."""

    def __init__(self, compiled: dict[str, bytes]) -> None:
        self._compiled = compiled

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As ``importlib`` asks for it."""
        if name not in self._compiled:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader and not os.path.exists(spec.cached or ""):
            spec.loader = _Compiled(name, spec.loader.path, self._compiled[name])
        return spec


class _Compiled(SourceFileLoader):
    """Loads a source whose compiled form lies elsewhere."""

    def __init__(self, name: str, path: str, compiled: bytes) -> None:
        super().__init__(name, path)
        self._compiled = compiled

    def get_data(self, path: str) -> bytes:
        """The source, or what Python asks for as its compiled form."""
        return super().get_data(path) if path == self.path else self._compiled


def use_library(place: str) -> None:
    """Load modules of the standard library from what lies at a place, a folder or a zip file, if it lies there."""
    try:
        data = __loader__.get_data(os.path.join(place, LIBRARY))
    except OSError:
        return
    sys.meta_path.insert(0, _Library(marshal.loads(data)))


def begin(archive: str) -> None:
    """Let everything of pyflow's be imported from its compiled archive, behind what is installed here."""
    sys.path[:1] = [archive]
    use_library(archive)
    # By hand: tempfile loads a good part of the library.
    folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"pyflow-runtime-{os.urandom(6).hex()}")
    os.mkdir(folder, 0o700)
    for name, data in marshal.loads(__loader__.get_data(os.path.join(archive, FILES))).items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    sys.path += [folder, os.path.join(archive, DEPENDENCIES)]
