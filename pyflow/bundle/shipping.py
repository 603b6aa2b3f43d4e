"""The files that travel for each local module: a whole package with its data, or one file alone.

Limits keep data sets and checkpoints out of a code bundle; a package that breaks one is refused with the
names of all files that are too large, and the line to write into ``.pyflowignore``.
"""

# The import system speaks of paths as text, and thousands of them are looked at.
# ruff: noqa: PTH112, PTH113, PTH116, PTH118, PTH119, PTH120, PTH208

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING, Final

from pyflow.bundle.archive import CodeBundle
from pyflow.bundle.ignore import Ignore, is_home_folder, is_never_shipped
from pyflow.bundle.imports import Import, imports_in_file, imports_in_source
from pyflow.bundle.origins import Found
from pyflow.errors import DefinitionError
from pyflow.late import late

if TYPE_CHECKING:
    import zipfile
else:
    zipfile = late("zipfile")

MIB: Final = 1024 * 1024
MAX_FILE_BYTES: Final = 10 * MIB
MAX_BUNDLE_BYTES: Final = 50 * MIB
MAX_FILES: Final = 10_000
"""A package with more files is a folder of data; reading its names alone would take seconds."""


class Shipment:
    """The files collected so far, each under the name by which another process will import it."""

    def __init__(self) -> None:
        self._files: dict[str, str | bytes] = {}
        self._origin: dict[str, str] = {}
        self._modules: set[str] = set()
        self._whole: set[str] = set()
        self._size_by_name: dict[str, int] = {}

    def add(self, found: Found) -> list[str]:
        """Take a local module, and its whole package if it starts one.

        Returns:
            Names of modules that are loaded from below it, which must be looked at as well: a package may
            import its parts by names that no source spells out.
        """
        self._modules.add(found.name)
        if found.is_namespace:
            return _loaded_below(found.name)
        if any(found.name.startswith(package + ".") for package in self._whole):
            self._add_module(found)
            return []
        if found.folders is None or any(is_home_folder(folder) for folder in found.folders):
            self._add_module(found)
            return []
        self._whole.add(found.name)
        self._add_package(found)
        self._add_module(found)
        return _loaded_below(found.name)

    def imports_of(self, found: Found) -> tuple[Import, ...]:
        """What the source of a module that was added imports."""
        assert found.file is not None
        if found.archive is None:
            return imports_in_file(found.file) if os.path.isfile(found.file) else ()
        source = self._files.get(_archive_name(found))
        return imports_in_source(source) if isinstance(source, bytes) else ()

    def bundle(self) -> CodeBundle:
        """All that was added.

        Raises:
            DefinitionError: Something is too large; the message names every such file.
        """
        self._check_sizes()
        names = sorted(self._files)
        extensions = tuple(name for name in names if name.endswith(tuple(EXTENSION_SUFFIXES)))
        files = tuple((name, self._files[name]) for name in names)
        return CodeBundle(files, tuple(sorted(self._modules)), {name: self._origin[name] for name in names}, extensions)

    def _add_module(self, found: Found) -> None:
        assert found.file is not None
        if found.archive is not None:
            self._add_from_zip(found.archive, found.file, _archive_name(found))
        elif os.path.isfile(found.file) and not Ignore(os.path.dirname(found.file)).names_module(found.file):
            # An import needs it, so it travels although .gitignore may name it: versions written by
            # build tools (_version.py) are ignored by git everywhere.
            self._add_file(_archive_name(found), found.file)

    def _add_package(self, found: Found) -> None:
        assert found.folders is not None
        prefix = found.name.replace(".", "/")
        for folder in found.folders:
            if found.archive is not None:
                self._add_from_zip(found.archive, folder + os.sep, prefix + "/")
                continue
            for path in _files_below(folder, Ignore(folder), set()):
                self._add_file(f"{prefix}/{os.path.relpath(path, folder).replace(os.sep, '/')}", path)
                if len(self._files) > MAX_FILES:
                    raise DefinitionError(
                        f"The local package {found.name!r} in '{folder}' holds more than {MAX_FILES:,} files, so it is more than code. "
                        "Name the folders that hold data in a .pyflowignore beside it."
                    )

    def _add_file(self, name: str, path: str) -> None:
        if name not in self._files:
            self._files[name] = path
            self._origin[name] = path
            self._size_by_name[name] = os.stat(path).st_size

    def _add_from_zip(self, archive: str, start: str, name: str) -> None:
        """One member of a zip file on ``sys.path``, or with a closing separator all below a folder of it."""
        inside = start[len(archive) + 1 :].replace(os.sep, "/")
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                is_wanted = member.filename == inside or (inside.endswith("/") and member.filename.startswith(inside))
                if member.is_dir() or not is_wanted or is_never_shipped(os.path.basename(member.filename)):
                    continue
                target = name + member.filename[len(inside) :]
                self._files.setdefault(target, opened.read(member))
                self._origin.setdefault(target, os.path.join(archive, member.filename))
                self._size_by_name.setdefault(target, member.file_size)

    def _check_sizes(self) -> None:
        advice = "Name it in a .pyflowignore beside the package, or hand it to the task as a Path argument."
        large = [name for name, size in self._size_by_name.items() if size > MAX_FILE_BYTES]
        if large:
            listed = ", ".join(f"'{self._origin[name]}' ({_mib(self._size_by_name[name])})" for name in sorted(large))
            raise DefinitionError(
                f"Local code travels with each task, and it holds {listed}; at most 10 MiB a file may. {advice}"
            )
        total = sum(self._size_by_name.values())
        if total > MAX_BUNDLE_BYTES:
            largest = sorted(self._size_by_name, key=lambda name: -self._size_by_name[name])[:5]
            listed = ", ".join(f"'{self._origin[name]}' ({_mib(self._size_by_name[name])})" for name in largest)
            raise DefinitionError(
                f"Local code travels with each task, and it makes {_mib(total)}; at most 50 MiB may. The largest files are {listed}. {advice}"
            )


def _files_below(folder: str, ignore: Ignore, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Paths of all files that travel, in the order of their names; a folder that a link leads back to, once."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen or is_home_folder(folder):
        return
    seen.add((status.st_dev, status.st_ino))
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            if not ignore.leaves_out_folder(path):
                yield from _files_below(path, ignore, seen)
        elif os.path.isfile(path) and not ignore.leaves_out_file(path):
            yield path


def _archive_name(found: Found) -> str:
    """Where a module lies in the bundle: by the name it is imported by, wherever its file lies here."""
    assert found.file is not None
    stem = found.name.replace(".", "/")
    name = os.path.basename(found.file)
    ending = name[name.index(".") :] if "." in name else ""
    if found.folders is not None:
        return f"{stem}/__init__{ending}"
    return stem + ending


def _loaded_below(package: str) -> list[str]:
    """Names of the modules of a package that are loaded now, sorted."""
    return sorted(name for name in list(sys.modules) if name.startswith(package + "."))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.1f} MiB"
