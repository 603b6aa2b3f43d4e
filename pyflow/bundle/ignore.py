"""Which files of a local package stay at home: ``.gitignore``, ``.pyflowignore``, hidden files, ``.env``.

``.pyflowignore`` has the syntax of ``.gitignore`` and the last word: what it names stays, and what it
names with ``!`` travels although git ignores it. Of two files of one kind, the deeper one decides. Hidden
files and files of settings (``.env``) stay whatever anybody says, because that is where passwords lie.
"""

# The import system speaks of paths as text, and thousands of them are looked at.
# ruff: noqa: PTH100, PTH110, PTH111, PTH116, PTH118, PTH119, PTH120

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyflow.late import late

if TYPE_CHECKING:
    import pathspec
else:
    pathspec = late("pathspec")

IGNORE_FILES: Final = (".pyflowignore", ".gitignore")
NEVER_FOLDERS: Final = frozenset({"__pycache__", "node_modules"})
NEVER_SUFFIXES: Final = (".pyc", ".pyo", ".env")


class Ignore:
    """What stays at home, below one folder and in the folders above it up to the top of the project."""

    def __init__(self, folder: str) -> None:
        self._tops = _folders_up_to_project(os.path.abspath(folder))

    def leaves_out_file(self, path: str) -> bool:
        """True when the file at this absolute path stays at home."""
        return is_never_shipped(os.path.basename(path)) or self._decide(path, path)

    def leaves_out_folder(self, path: str) -> bool:
        """True when nothing below this folder travels."""
        name = os.path.basename(path)
        if name.startswith(".") or name in NEVER_FOLDERS or os.path.exists(os.path.join(path, "pyvenv.cfg")):
            return True
        # A pattern that ends in a slash is for folders alone, and they are asked with a slash of their own.
        return self._decide(path, path + "/")

    def names_module(self, path: str) -> bool:
        """True when ``.pyflowignore`` itself names this file: not even an import makes it travel."""
        return is_never_shipped(os.path.basename(path)) or self._decide(path, path, kinds=IGNORE_FILES[:1])

    def _decide(self, path: str, asked: str, kinds: tuple[str, ...] = IGNORE_FILES) -> bool:
        folders = self._folders_above(path)
        for kind in kinds:
            for folder in folders:
                spec = _spec(os.path.join(folder, kind))
                if spec is None:
                    continue
                relative = asked[len(folder) :].lstrip(os.sep).replace(os.sep, "/")
                answer = spec.check_file(relative).include
                if answer is not None:
                    return answer
        return False

    def _folders_above(self, path: str) -> list[str]:
        """The folders whose rules may speak of this path, the deepest first."""
        deepest = self._tops[0]
        found = []
        folder = os.path.dirname(path)
        while folder.startswith(deepest + os.sep):
            found.append(folder)
            folder = os.path.dirname(folder)
        return [*found, *self._tops]


def is_never_shipped(name: str) -> bool:
    """True for a file name that never travels: hidden, compiled, or settings of an environment."""
    return name.startswith(".") or name.endswith(NEVER_SUFFIXES)


def is_home_folder(folder: str) -> bool:
    """True for a home directory and every folder above one: nobody means to ship these whole."""
    resolved = os.path.realpath(folder)
    home = os.path.realpath(os.path.expanduser("~"))
    return home == resolved or home.startswith(resolved.rstrip(os.sep) + os.sep)


def _folders_up_to_project(folder: str) -> tuple[str, ...]:
    """This folder and those above it, up to the one that git or a project file marks as the top."""
    climbed = [folder]
    while not any(os.path.exists(os.path.join(climbed[-1], mark)) for mark in (".git", "pyproject.toml")):
        parent = os.path.dirname(climbed[-1])
        if parent == climbed[-1] or is_home_folder(parent):
            # No project: the rules beside a package are still meant for it.
            return tuple(climbed[:2])
        climbed.append(parent)
    return tuple(climbed)


def _spec(path: str) -> pathspec.GitIgnoreSpec | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _parsed(path: str, _mtime_ns: int, size_bytes: int) -> pathspec.GitIgnoreSpec | None:
    if not size_bytes:
        return None
    return pathspec.GitIgnoreSpec.from_lines(Path(path).read_text(encoding="utf-8", errors="replace").splitlines())
