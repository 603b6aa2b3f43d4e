"""Where a module comes from: the user's own files, an installed package, or the standard library.

Nothing here imports the module it looks for: a module that is loaded is asked for its spec, one that is
not is looked up by the import system's finders, and a part of a package in the package's own folders.
What travels is for ``discovery`` to decide.
"""

# The import system speaks of paths as text, and thousands of them are looked at.
# ruff: noqa: PTH100, PTH118, PTH120

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pyflow.late import late

if TYPE_CHECKING:
    import pkgutil
else:
    pkgutil = late("pkgutil")

Home: TypeAlias = Literal["local", "installed", "standard", "pyflow"]

# Both names are in use for the folder of installed packages: Debian renamed its own.
INSTALL_FOLDERS: Final = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Found:
    """A module that the import system knows, loaded or not."""

    name: str
    """Its full name: ``pkg.part``."""
    home: Home
    file: str | None
    """The file that holds it (``__init__.py`` of a package); None for a namespace package or a built-in."""
    folders: tuple[str, ...] | None
    """Where its parts lie when it is a package, else None."""
    archive: str | None
    """The zip file it lies in, if it does; ``file`` and ``folders`` then begin with this path."""

    @property
    def is_namespace(self) -> bool:
        """True for a package without an ``__init__``, whose parts may lie in several folders."""
        return self.folders is not None and self.file is None

    @property
    def is_local(self) -> bool:
        """True for a file of the user's own; a namespace package is local where one of its folders is."""
        return self.home == "local"


def find(name: str) -> Found | None:
    """The module of that full name, without importing it or its parents; None when there is none."""
    module = sys.modules.get(name)
    if module is not None and (found := _found_loaded(name, module)) is not None:
        return found
    parent_name, _, _ = name.rpartition(".")
    if not parent_name:
        return _found_by_spec(name, _spec_of_top(name))
    parent = find(parent_name)
    if parent is None or parent.folders is None:
        return None
    return _found_in_folders(name, parent.folders)


@lru_cache(maxsize=4096)
def home_of_file(path: str) -> Home:
    """Whose file it is, told by the folder it lies in."""
    if any(f"{os.sep}{folder}{os.sep}" in path + os.sep for folder in INSTALL_FOLDERS):
        return "installed"
    if any((path + os.sep).startswith(root) for root in standard_roots()):
        return "standard"
    return "local"


@lru_cache(maxsize=1)
def standard_roots() -> tuple[str, ...]:
    """Folders of the standard library, with a closing separator, and the zip file it may lie in."""
    # A virtual environment borrows the library of its base, and `os` knows which one that is.
    library = os.path.dirname(os.__file__)
    folders = {library, os.path.realpath(library)}
    for base in (sys.base_prefix, sys.base_exec_prefix):
        folders.add(os.path.join(base, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}"))
    zips = {
        f"{os.path.dirname(folder)}{os.sep}python{sys.version_info[0]}{sys.version_info[1]}.zip" for folder in folders
    }
    return tuple(sorted({folder + os.sep for folder in folders} | zips))


def _found_loaded(name: str, module: ModuleType) -> Found | None:
    # A module can be any object, and some raise on attributes they do not know: its own dict is safe.
    entries = getattr(module, "__dict__", {})
    spec = entries.get("__spec__")
    if isinstance(spec, ModuleSpec) and spec.name == name:
        # A package may add folders to its __path__ while it is imported (pkgutil.extend_path).
        path = entries.get("__path__")
        return _found_by_spec(name, spec, None if path is None else list(path))
    if isinstance(entries.get("__file__"), str) and spec is None and name != "__main__":
        folders = entries.get("__path__")
        file = os.path.abspath(entries["__file__"])
        return Found(name, _home(name, [file]), file, None if folders is None else tuple(folders), None)
    return None


def _spec_of_top(name: str) -> ModuleSpec | None:
    """What the finders say of a name without dots; editable installs bring finders of their own."""
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec = find_spec(name, None, None) if find_spec is not None else None
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _found_in_folders(name: str, folders: Sequence[str]) -> Found | None:
    """A part of a package that is not loaded; PathFinder would ask for the package itself to be loaded."""
    namespace: list[str] = []
    for folder in folders:
        find_spec = getattr(pkgutil.get_importer(folder), "find_spec", None)
        spec = find_spec(name) if find_spec is not None else None
        if not isinstance(spec, ModuleSpec):
            continue
        if spec.loader is not None:
            return _found_by_spec(name, spec)
        namespace.extend(spec.submodule_search_locations or ())
    return Found(name, _home(name, namespace), None, tuple(namespace), None) if namespace else None


def _found_by_spec(name: str, spec: ModuleSpec | None, path: Sequence[str] | None = None) -> Found | None:
    if spec is None:
        return None
    if path is None and spec.submodule_search_locations is not None:
        path = list(spec.submodule_search_locations)
    if spec.origin in {"built-in", "frozen"}:
        return Found(name, "standard", None, None if path is None else tuple(path), None)
    file = os.path.abspath(spec.origin) if spec.has_location and spec.origin else None
    if file is None and path is None:
        return None
    folders = None if path is None else tuple(os.path.abspath(folder) for folder in path)
    archive = getattr(spec.loader, "archive", None)
    home = _home(name, [file] if file is not None else list(folders or ()))
    return Found(name, home, file, folders, os.path.abspath(archive) if isinstance(archive, str) else None)


def _home(name: str, paths: list[str]) -> Home:
    if name.partition(".")[0] == "pyflow":
        return "pyflow"
    homes = {home_of_file(path) for path in paths}
    # A namespace may have one part that is installed and another that is the user's.
    return "local" if "local" in homes else min(homes, default="standard")
