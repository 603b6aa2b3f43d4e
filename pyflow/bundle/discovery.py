"""Which local code a pipeline's functions reach, and so must travel with them.

From each function the search goes to its module, to what its code imports and to what its globals,
closure and defaults hold; from each local module it reaches, to the imports in that module's source. A
regular package then travels whole, with the data beside its code; a module on its own, or in a namespace
package, travels alone, so that no working directory is ever walked. Modules that are installed stay
where they are, and so does pyflow.

Functions of ``__main__`` travel by value, and may import when they run: the imports of the script they
stand in count, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from pyflow.bundle.archive import CodeBundle
from pyflow.bundle.imports import Import, imports_in_code, imports_in_file, tops_mentioned
from pyflow.bundle.origins import Found, find
from pyflow.bundle.references import attributes_of, cells_of, inner_functions, names_used
from pyflow.bundle.shipping import Shipment
from pyflow.bundle.versions import installed_version

# Containers are looked into for functions and objects of local classes, but a large one is data.
MAX_DEPTH: Final = 4
MAX_ITEMS: Final = 1000
PLAIN: Final = frozenset({str, bytes, bytearray, int, float, complex, bool, type(None)})


def discover(roots: Iterable[Callable[..., Any] | ModuleType | type]) -> CodeBundle:
    """The local code that these functions, classes and modules reach.

    Nothing is imported and no function is called. Without local imports it takes well under 3 ms.

    Raises:
        DefinitionError: A file is larger than 10 MiB, or all of them than 50 MiB; the message names them.
    """
    search = _Search()
    for root in roots:
        search.visit(root, 0)
    return search.shipment.bundle()


def installed(roots: Iterable[Callable[..., Any] | ModuleType | type]) -> tuple[str, ...]:
    """The installed distributions that these functions and the local code they reach import, at the versions here.

    Imports of an installed package by an installed package are not followed: its own requirements say them.

    Returns:
        Requirements, sorted: ``numpy==2.1.0``.
    """
    search = _Search()
    for root in roots:
        search.visit(root, 0)
    return tuple(sorted({installed_version(top) for top in search.installed_tops()}))


def is_by_value(module_name: str | None) -> bool:
    """True for functions of scripts, notebooks and the REPL: no other process can import their module."""
    return module_name is None or module_name in {"__main__", "__mp_main__"} or find(module_name) is None


class _Search:
    """What has been seen so far. Every object and module is visited once."""

    def __init__(self) -> None:
        self.shipment = Shipment()
        self._seen: dict[int, object] = {}  # the objects are kept, so that no id is used twice
        self._modules: dict[str, Found | None] = {}
        self._scripts: set[str] = set()
        self._homes: dict[str, str] = {}

    def installed_tops(self) -> set[str]:
        """First names of the installed modules that were met."""
        tops = {name.partition(".")[0] for name in (*self._modules, *self._homes) if name}
        return {top for top in tops if (found := find(top)) is not None and found.home == "installed"}

    def visit(self, value: object, depth: int) -> None:
        """Follow whatever a global, a cell or a default holds."""
        kind = type(value)
        if kind in PLAIN or depth > MAX_DEPTH or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, ModuleType):
            self.module(value.__name__)
        elif isinstance(value, FunctionType):
            self._function(value, depth)
        elif isinstance(value, type):
            self._class(value, depth)
        elif isinstance(value, (dict, list, tuple, set, frozenset)):
            self._container(value, depth)
        else:
            self._object(value, depth)

    def module(self, name: str) -> Found | None:
        """Ship a module if it is local, with the packages it lies in and all that they import."""
        if name in self._modules:
            return self._modules[name]
        parent_name, _, _ = name.rpartition(".")
        parent = self.module(parent_name) if parent_name else None
        # What lies in an installed package is installed, and need not be looked for.
        is_possible = not parent_name or (parent is not None and parent.folders is not None)
        found = find(name) if is_possible else None
        self._modules[name] = found = found if found is not None and found.is_local else None
        if found is not None:
            for loaded in self.shipment.add(found):
                self.module(loaded)
            self._imports_of(found)
        return found

    def _imports_of(self, found: Found) -> None:
        package = found.name if found.folders is not None else found.name.rpartition(".")[0]
        if found.file is not None and found.file.endswith(".py"):
            self._imports(self.shipment.imports_of(found), package)

    def _imports(self, imports: Iterable[Import], package: str) -> None:
        for one in imports:
            for name in one.absolute(package):
                self.module(name)

    def _function(self, function: FunctionType, depth: int) -> None:
        name = function.__module__
        if self._ship_by_reference(name):
            return
        values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        values += cells_of(function).values()
        scope = function.__globals__
        if self._home(scope.get("__name__")) == "by value":
            self._script(scope)
            self._imports(imports_in_code(function.__code__), scope.get("__package__") or "")
            values += [scope[used] for used in names_used(function.__code__) if used in scope]
        for value in values:
            self.visit(value, depth)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.visit(wrapped, depth)

    def _ship_by_reference(self, module_name: str | None) -> bool:
        """True when the module is local and importable: it travels as a file, and its source says the rest."""
        if self._home(module_name) != "local" or module_name is None:
            return False
        self.module(module_name)
        return True

    def _class(self, cls: type, depth: int) -> None:
        if self._ship_by_reference(cls.__module__) or self._home(cls.__module__) != "by value":
            return
        for value in [*cls.__bases__, *vars(cls).values()]:
            self.visit(value, depth)

    def _container(self, values: Any, depth: int) -> None:
        if len(values) > MAX_ITEMS:
            return
        for value in values.values() if isinstance(values, dict) else values:
            self.visit(value, depth + 1)

    def _object(self, value: object, depth: int) -> None:
        if isinstance(value, partial):
            self._container((value.func, *value.args, *value.keywords.values()), depth)
            return
        if isinstance(value, MethodType):
            self.visit(value.__func__, depth)
            self.visit(value.__self__, depth)
            return
        if isinstance(value, property):
            self._container((value.fget, value.fset, value.fdel), depth)
            return
        self.visit(type(value), depth)
        # Wrappers of a function: functools.lru_cache, classmethod, a task (``fn``).
        for inner in inner_functions(value):
            self.visit(inner, depth)
        if self._home(type(value).__module__) in {"local", "by value"}:
            self._container(attributes_of(value), depth)

    def _script(self, scope: dict[str, Any]) -> None:
        """The static imports of the script that a function stands in."""
        path = scope.get("__file__")
        if not isinstance(path, str) or path in self._scripts or not Path(path).is_file():
            return
        self._scripts.add(path)
        tops = tops_mentioned(Path(path).read_bytes())
        if tops is None or any(self._home(top) == "local" for top in tops):
            self._imports(imports_in_file(path), scope.get("__package__") or "")

    def _home(self, name: str | None) -> str:
        """The home of a module's file, or ``by value`` when no other process can import it."""
        if name is None or name in {"__main__", "__mp_main__"}:
            return "by value"
        if name not in self._homes:
            found = find(name)
            self._homes[name] = "by value" if found is None else found.home
        return self._homes[name]
