"""The first of pyflow that a process loads where tasks run: on the standard library alone, and as little of that as can be.

Images of Python come without compiled modules, and on a read-only root nobody can keep what they compile: the modules
that a task's start needs take half a second of processor time in each container. So pyflow brings them along, compiled.
Each holds for exactly the source that it was made of, which Python itself checks; a module of another make is
compiled as ever.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys

# By the name of what is frozen into Python: importlib itself would be compiled for this, and half of warnings with it.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import PathFinder, SourceFileLoader

TYPE_CHECKING = False  # as type checkers know it, for typing is a good part of what is to be brought along
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, TypeAlias

    _Source: TypeAlias = tuple[str, bool, int, int]

    __loader__: Any

DEPENDENCIES = "pyflow-dependencies"
LIBRARY = "pyflow-library"
"""Compiled modules of the standard library, one behind the other."""
LIBRARY_INDEX = "pyflow-library-index"
"""Where in their file they lie, by their names: offset and length."""
LIBRARY_HERE = "pyflow-library-here"
"""In an archive that was made in the image where it is used: by which Python, and of its modules by their names: path, whether it is a
package, and the size and the time of the source."""
FILES = "pyflow-files"
"""Files that have to lie in a folder by their paths there: what packages read beside their code."""
MODULES = "pyflow-modules"
"""Where in the archive the compiled modules lie, by their names: whether it is a package, its path, its code's offset and
length, and whether that is compressed: what a task's start does not load is."""
PATTERNS = "pyflow-patterns"
"""Regular expressions that all of these modules are made with, compiled: for which engine, and by pattern and flags what it takes."""
TEXTS = "pyflow-texts"
"""What the standard library writes and compiles when these modules make their classes: by kind and text, compiled."""
READ_DATA = "botocore/"
"""The package that reads data beside its code."""
_HOME = "pyflow"
_HEAD = 16
"""Bytes before the code of a compiled module (PEP 552)."""


def _part(file: str, offset: int, length: int) -> bytes:
    """Some bytes of a file."""
    # Opened each time: a task may close whatever is open.
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


class _Library:
    """Finds modules of the standard library whose compiled form pyflow has brought along and the image has not."""

    def __init__(self, file: str, places: dict[str, tuple[int, int]]) -> None:
        self._file = file
        self._places = places

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As ``importlib`` asks for it."""
        if name not in self._places:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader and not os.path.exists(spec.cached or ""):
            spec.loader = _Compiled(name, spec.loader.path, _part(self._file, *self._places[name]))
        return spec


class _Here:
    """Finds modules of the standard library that the archive was made from, in this very image.

    Python's own way to a module is a dozen system calls and a search along the path, for each of two hundred. It is gone where it
    could end elsewhere: when something comes before the library on the path, and for a source that was replaced since.
    """

    def __init__(self, file: str, places: dict[str, tuple[int, int]], modules: dict[str, _Source]) -> None:
        self._file = file
        self._places = places
        self._modules = modules
        library = os.path.dirname(os.__file__)
        self._head = sys.path[: sys.path.index(library) + 1] if library in sys.path else []
        """The path up to the library, when nothing comes before that but the archive."""
        if any(os.path.exists(entry) for entry in self._head[1:-1]):
            self._head = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As ``importlib`` asks for it."""
        if name not in self._modules:
            return None
        file, is_package, *about = self._modules[name]
        folder = os.path.dirname(file)
        around = [os.path.dirname(folder) if is_package else folder]
        is_first = (self._head and sys.path[: len(self._head)] == self._head) if path is None else list(path) == around
        if not is_first or _about(file) != about:
            return PathFinder.find_spec(name, path, target)
        loader = _MadeHere(name, file, self._file, *self._places[name])
        spec = ModuleSpec(name, loader, origin=file, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [folder]
        return spec


def _about(file: str) -> list[int]:
    """What changes when a file is replaced: its size, and its time in seconds."""
    try:
        found = os.stat(file)
    except OSError:
        return []
    return [found.st_size, int(found.st_mtime)]


class _MadeHere(SourceFileLoader):
    """Loads what a source of this image was compiled to when the image was built."""

    def __init__(self, name: str, path: str, file: str, offset: int, length: int) -> None:
        super().__init__(name, path)
        self._place = file, offset, length

    def get_code(self, fullname: str) -> Any:  # noqa: ARG002  as Python has it
        """The module, compiled."""
        return marshal.loads(memoryview(_part(*self._place))[_HEAD:])


class _Compiled(SourceFileLoader):
    """Loads a source whose compiled form lies elsewhere."""

    def __init__(self, name: str, path: str, compiled: bytes) -> None:
        super().__init__(name, path)
        self._compiled = compiled

    def get_data(self, path: str) -> bytes:
        """The source, or what Python asks for as its compiled form."""
        return super().get_data(path) if path == self.path else self._compiled


class _Carried:
    """Finds modules in the archive, and loads them.

    ``zipimport`` could do so, too. It reads and decodes each module twice, which is a tenth of a task's start.
    """

    def __init__(self, archive: str, folder: str, modules: dict[str, tuple[bool, str, int, int, bool]]) -> None:
        self._archive = archive
        self._folder = folder
        self._modules = modules

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """A module of pyflow, or a part of a package that comes from here: they are looked for before all others."""
        package = name.rpartition(".")[0]
        is_ours = package and getattr(sys.modules.get(package), "__loader__", None) is self
        return self.spec_of(name) if is_ours or name == _HOME else None

    def spec_of(self, name: str) -> ModuleSpec | None:
        """What ``importlib`` has to know of a module; None when there is none."""
        if name not in self._modules:
            return None
        is_package, path, *_ = self._modules[name]
        loader: Any = self
        spec = ModuleSpec(name, loader, origin=self._place(path), is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [os.path.dirname(self._place(path))]
        return spec

    def _place(self, path: str) -> str:
        """Where a module believes to lie: beside its data, if it reads some."""
        inner = path.removeprefix(f"{DEPENDENCIES}/")
        return f"{self._folder}/{inner}" if inner.startswith(READ_DATA) else f"{self._archive}/{path}"

    def create_module(self, spec: ModuleSpec) -> None:
        """The usual kind."""

    def exec_module(self, module: ModuleType) -> None:
        """Run its code."""
        _, _, offset, length, is_compressed = self._modules[module.__name__]
        code = _part(self._archive, offset, length)
        if is_compressed:
            import zlib  # noqa: PLC0415  few modules are

            code = zlib.decompress(code)
        exec(marshal.loads(code), module.__dict__)

    def get_data(self, path: str) -> bytes:
        """A file that lies beside modules, by the place where they believe it to be."""
        data: bytes = __loader__.get_data(path.replace(self._folder, f"{self._archive}/{DEPENDENCIES}", 1))
        return data


class _Behind:
    """Finds what the image lacks, when nobody else has found it."""

    def __init__(self, carried: _Carried) -> None:
        self._carried = carried

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """As ``importlib`` asks for it."""
        return self._carried.spec_of(name) if "." not in name else None


def use_library(place: str, file: str) -> None:
    """Load modules of the standard library from a file, if their index lies at a place, a folder or a zip file."""
    try:
        places = marshal.loads(__loader__.get_data(os.path.join(place, LIBRARY_INDEX)))
    except OSError:
        return
    modules = _made_here(place)
    sys.meta_path.insert(0, _Here(file, places, modules) if modules else _Library(file, places))


def _made_here(place: str) -> dict[str, _Source] | None:
    """The modules of the library that an archive was made of in this image; None when it was made elsewhere, or by another Python."""
    try:
        version, modules = marshal.loads(__loader__.get_data(os.path.join(place, LIBRARY_HERE)))
    except OSError:
        return None
    return modules if version == sys.hexversion else None


def use_patterns(archive: str) -> None:
    """Let regular expressions that lie in the archive be made without compiling them, which is a twelfth of a task's start."""
    import _sre  # type: ignore[import-not-found]  # noqa: PLC0415  when what it needs is there, compiled
    import re  # noqa: PLC0415

    engine, patterns = marshal.loads(__loader__.get_data(os.path.join(archive, PATTERNS)))
    if engine != [_sre.MAGIC, _sre.CODESIZE]:
        return
    compiler: Any = sys.modules["re._compiler" if hasattr(re, "_compiler") else "sre_compile"]
    usual = compiler.compile

    def compile_pattern(pattern: Any, flags: int = 0) -> Any:
        found = patterns.get((pattern, flags))
        return _sre.compile(pattern, *found) if found is not None else usual(pattern, flags)

    compiler.compile = compile_pattern


def use_texts(archive: str) -> None:
    """Let classes be made without compiling what the standard library writes for each of them, a fifteenth of a task's start."""
    import collections  # noqa: PLC0415  as above
    import dataclasses  # noqa: PLC0415
    import typing  # noqa: PLC0415

    texts = marshal.loads(__loader__.get_data(os.path.join(archive, TEXTS)))

    def known(kind: str, text: Any) -> Any:
        return texts.get((kind, text), text)

    # A name of a module hides the builtin of that name from it.
    vars(dataclasses)["exec"] = lambda text, *names: exec(known("exec", text), *names)
    vars(collections)["eval"] = lambda text, *names: eval(known("eval", text), *names)  # noqa: S307  the library's own
    vars(typing)["compile"] = lambda text, file, kind: texts.get((kind, text)) or compile(text, file, kind)


def lay_out(archive: str, folder: str) -> None:
    """Write the files of an archive that have to lie in a folder."""
    os.mkdir(folder, 0o700)
    for name, data in marshal.loads(__loader__.get_data(os.path.join(archive, FILES))).items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def begin(archive: str) -> None:
    """Let everything of pyflow's be imported from its compiled archive, what it needs behind what is installed here."""
    # Of what is loaded from now on nothing is garbage; the program goes on looking for it when it has begun.
    gc.disable()
    sys.path[:1] = [archive]
    # By hand: tempfile loads a good part of the library.
    folder = f"{archive}-files"
    if not os.path.isdir(folder):
        folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"pyflow-runtime-{os.urandom(6).hex()}")
        lay_out(archive, folder)
    carried = _Carried(archive, folder, marshal.loads(__loader__.get_data(os.path.join(archive, MODULES))))
    sys.meta_path.insert(0, carried)
    sys.meta_path.append(_Behind(carried))
    use_library(archive, archive)
    use_patterns(archive)
    use_texts(archive)
