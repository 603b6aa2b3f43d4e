"""The code fingerprint: what a function computes, as 64 digits that only a change of its code changes.

It covers the syntax of the function, without positions, comments and docstrings, and of every local
function, class and module it reaches, with the literal constants they use; installed packages count by name
and version, the standard library by name. Options of pyflow's own decorators are no code, so a task
that asks for more memory keeps its fingerprint.

Two things it cannot see: what a live object holds (a connection, a fitted model: they count by their type),
and modules that a name computed at run time loads.
"""

from __future__ import annotations

import enum
import os
import sys
from collections import ChainMap, deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, TypeAlias

from pyflow.bundle.origins import Found, find
from pyflow.bundle.references import cells_of, inner_functions, is_ours
from pyflow.bundle.syntax import Chain, Source, source_of
from pyflow.bundle.units import Unit, unit_of_bytecode, unit_of_class, unit_of_function, unit_of_module
from pyflow.bundle.versions import installed_version

MAX_DEPTH: Final = 50
MAX_ITEMS: Final = 100_000
"""A container with more is data, not a constant: it counts by its type and length."""

Scope: TypeAlias = "ChainMap[str, Any]"

_ABSENT: Final = object()
# What every module holds by itself, and what says where it lies.
_MODULE_NAMES: Final = frozenset(
    {"__name__", "__file__", "__package__", "__spec__", "__path__", "__doc__", "__builtins__"}
)


def fingerprint(function: Callable[..., Any]) -> str:
    """What the function computes, in 64 digits: the same in every process, folder and line it may stand in.

    Returns:
        ``ast:`` and the digest; ``code:`` and the digest where the source of a part could not be found (a
        function typed into a plain REPL, or made by ``exec``) and its bytecode was taken instead: that one
        changes with the minor version of Python.
    """
    walk = _Walk()
    walk.value(function, "")
    walk.finish()
    return f"{'ast' if walk.is_exact else 'code'}:{walk.digest.hexdigest()}"


class _Walk:
    """One fingerprint being made.

    Functions, classes and modules are numbered as they are met and written out one after the other, so that
    circles end and no chain of helpers is too long.
    """

    def __init__(self) -> None:
        self.digest = sha256()
        self.is_exact = True
        self._number_by_id: dict[int | str, int] = {}
        self._waiting: deque[Callable[[], None]] = deque()
        self._alive: list[object] = []  # an id means nothing once its object is gone
        self._homes: dict[str, str | None] = {}
        self._items = 0
        self._above: list[int] = []

    def finish(self) -> None:
        """Write out everything that was met."""
        while self._waiting:
            self._write("\n")
            self._waiting.popleft()()

    def value(self, value: Any, here: str) -> None:
        """Write what a name stands for.

        Args:
            here: The folder of the code that uses it. Paths below it are written as seen from there, so that a
                project may be moved.
        """
        kind = type(value)
        if kind is int:
            self._write(f"int {value:x};")  # decimal digits are refused beyond some thousands
        elif value is None or value is Ellipsis or kind in {bool, float, complex, bytes}:
            self._write(f"{kind.__name__} {value!r};")
        elif kind is str:
            self._write(f"str {_seen_from(here, value)!r};")
        elif isinstance(value, PurePath):
            self._write(f"path {_seen_from(here, str(value))!r};")
        elif isinstance(value, enum.Enum):
            self._type_of(value)
            self._write(f"member {value.name};")
        elif isinstance(value, (tuple, list, set, frozenset, dict)):
            self._container(value, here)
        elif isinstance(value, (FunctionType, type, ModuleType)):
            self._numbered(value, here)
        else:
            self._object(value, here)

    def _numbered(self, value: Any, here: str) -> None:
        module = value.__name__ if isinstance(value, ModuleType) else _module_of(value)
        home = self._home(module)
        if home is not None:
            # A wrapper made by an installed decorator holds the user's function in a cell.
            # Some modules answer to names they lack, with an import or a warning.
            name = value.__name__ if isinstance(value, ModuleType) else value.__qualname__
            self._write(f"{home} {name};")
            if isinstance(value, FunctionType) and (value.__closure__ or inner_functions(value)):
                self._container([*cells_of(value).values(), *inner_functions(value)], here)
        elif isinstance(value, FunctionType):
            self._later(value, lambda: self._function(value))
        elif isinstance(value, type):
            self._later(value, lambda: self._class(value))
        else:
            self._module(value.__name__)

    def _later(self, value: object, write: Callable[[], None], key: str | None = None) -> None:
        """Refer to something by its number, and see that it is written once."""
        identity = key if key is not None else id(value)
        if identity not in self._number_by_id:
            self._number_by_id[identity] = len(self._number_by_id)
            self._alive.append(value)
            self._waiting.append(write)
        self._write(f"number {self._number_by_id[identity]};")

    def _function(self, function: FunctionType) -> None:
        scope = function.__globals__
        unit = unit_of_function(function.__code__, source_of(function.__code__.co_filename, scope))
        if unit is None:
            self.is_exact = False
            unit = unit_of_bytecode(function.__code__, function.__doc__)
        here = _folder_of(scope)
        self._write("function ")
        self._container([*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()], here)
        self._unit(unit, ChainMap(cells_of(function), scope), here, scope.get("__package__") or "")
        self._container(inner_functions(function), here)

    def _class(self, cls: type) -> None:
        functions = _functions_of(cls)
        scope = _scope_of(cls, functions)
        unit = unit_of_class(cls.__qualname__, _sources(scope, functions))
        self._write(f"class {cls.__name__};")
        if unit is None:
            self._class_without_source(cls, functions, scope)
            return
        cells: dict[str, Any] = {}
        for function in functions:
            cells.update(cells_of(function))
        self._unit(unit, ChainMap(cells, scope), _folder_of(scope), scope.get("__package__") or "")

    def _class_without_source(self, cls: type, functions: list[FunctionType], scope: dict[str, Any]) -> None:
        here = _folder_of(scope)
        self._container(cls.__bases__, here)
        made_by_factory = vars(cls).get("_fields")
        if isinstance(made_by_factory, tuple) and issubclass(cls, tuple):
            # collections.namedtuple: the names of its fields and their defaults are all there is to know.
            self._container((made_by_factory, vars(cls).get("_field_defaults", {})), here)
            return
        self.is_exact = False
        plain = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset)
        constants = {name: value for name, value in vars(cls).items() if isinstance(value, plain)}
        for name in ("__doc__", "__module__", "__firstlineno__", "__static_attributes__"):
            constants.pop(name, None)
        self._container(constants, here)
        self._write(f"{sorted((name, str(kind)) for name, kind in vars(cls).get('__annotations__', {}).items())!r};")
        for function in functions:
            self._numbered(function, here)

    def _module(self, name: str) -> None:
        """A whole module: it is passed around, or imported inside a function."""
        home = self._home(name)
        found = find(name) if home is None else None
        if found is None or found.file is None:
            self._write(f"module {home or name};")
            return
        self._later(name, partial(self._module_file, found, found.file), key=f"module {name}")

    def _module_file(self, found: Found, file: str) -> None:
        module = sys.modules.get(found.name)
        source = source_of(file, vars(module) if module is not None else {})
        if source is None:
            # An extension: its bytes are all there is.
            self.is_exact = False
            self._write(f"{sha256(Path(file).read_bytes()).hexdigest()};" if Path(file).is_file() else "no file;")
            return
        unit = unit_of_module(source)
        self._write(f"module {unit.digest};")
        self._imports(unit, found.name if found.folders is not None else found.name.rpartition(".")[0])

    def _unit(self, unit: Unit, scope: Scope, here: str, package: str) -> None:
        self._write(unit.digest)
        chains = set(unit.chains)
        for form, names in unit.decorators:
            if not any(is_ours(scope.get(chain[0], _ABSENT)) for chain in names):
                self._write(form)
                chains |= names
        for chain in sorted(chains):
            self._chain(chain, scope, here)
        self._imports(unit, package)

    def _chain(self, chain: Chain, scope: Scope, here: str) -> None:
        """Write what a name stands for; of a local module, only the part that is used."""
        value = scope.get(chain[0], _ABSENT)
        if value is _ABSENT or chain[0] in _MODULE_NAMES:
            return
        self._write(f"{'.'.join(chain)} = ")
        for attribute in chain[1:]:
            if not isinstance(value, ModuleType) or self._home(value.__name__) is not None:
                break
            part = vars(value).get(attribute, _ABSENT)
            if part is _ABSENT:
                break
            here = _folder_of(vars(value))
            value = part
        self.value(value, here)

    def _imports(self, unit: Unit, package: str) -> None:
        for name in sorted({name for one in unit.imports for name in one.absolute(package)}):
            if self._home(name) is not None or find(name) is not None:
                self._write(f"import {name} ")
                self._module(name)

    def _container(self, values: Any, here: str) -> None:
        self._items += len(values)
        if self._items > MAX_ITEMS or len(self._above) > MAX_DEPTH or id(values) in self._above:
            self._write(f"{type(values).__name__} of {len(values)};")
            return
        self._above.append(id(values))
        if type(values) not in {tuple, list, set, frozenset, dict}:
            self._numbered(type(values), here)
        self._write(f"{'set' if isinstance(values, (set, frozenset)) else type(values).__name__}[")
        if isinstance(values, (set, frozenset)):
            values = sorted(values, key=_place_in_set)
        for item in values.items() if isinstance(values, dict) else values:
            if isinstance(values, dict):
                self.value(item[0], here)
                self.value(item[1], here)
            else:
                self.value(item, here)
        self._write("]")
        self._above.pop()

    def _object(self, value: Any, here: str) -> None:
        if isinstance(value, partial):
            self._write("partial ")
            self._container((value.func, value.args, value.keywords), here)
        elif isinstance(value, MethodType):
            self._write("method ")
            self._container((value.__func__, value.__self__), here)
        elif isinstance(value, property):
            self._container([part for part in (value.fget, value.fset, value.fdel) if part is not None], here)
        elif isinstance(value, BuiltinFunctionType):
            self._write(f"{self._home(value.__module__ or 'builtins')} {value.__qualname__};")
        elif inner := inner_functions(value):
            if is_ours(type(value)):
                # A task is its function: what else it holds are options.
                self.value(inner[-1], here)
                return
            self._write(f"{type(value).__qualname__} ")
            self._container(inner, here)
        elif is_dataclass(value):
            self._type_of(value)
            self._container({one.name: getattr(value, one.name, None) for one in fields(value)}, here)
        else:
            self._type_of(value)

    def _type_of(self, value: object) -> None:
        self._write("a ")
        self._numbered(type(value), "")

    def _home(self, module_name: str | None) -> str | None:
        """What is known of code from elsewhere: ``numpy==2.1.0``, ``python``; None for the user's own."""
        if module_name is None or module_name in {"__main__", "__mp_main__"}:
            return None
        if module_name not in self._homes:
            self._homes[module_name] = _describe_home(module_name)
        return self._homes[module_name]

    def _write(self, text: str) -> None:
        self.digest.update(text.encode("utf-8", "surrogatepass"))


def _module_of(value: Any) -> str | None:
    """The module whose code this is; a decorator that copies names (functools.wraps) does not change it."""
    name = value.__globals__.get("__name__") if isinstance(value, FunctionType) else value.__module__
    return name if isinstance(name, str) else None


def _describe_home(module_name: str) -> str | None:
    found = find(module_name)
    if found is None or found.is_local:
        return None
    top = module_name.partition(".")[0]
    return installed_version(top) if found.home == "installed" else "pyflow" if found.home == "pyflow" else "python"


def _functions_of(cls: type) -> list[FunctionType]:
    """The functions in the body of a class, whatever they are wrapped in."""
    found: list[FunctionType] = []
    for value in vars(cls).values():
        parts = (
            (value.fget, value.fset, value.fdel) if isinstance(value, property) else (value, *inner_functions(value))
        )
        found += [part for part in parts if isinstance(part, FunctionType)]
    return found


def _scope_of(cls: type, functions: list[FunctionType]) -> dict[str, Any]:
    """The globals of the module that a class stands in."""
    for function in functions:
        if function.__globals__.get("__name__") == cls.__module__:
            return function.__globals__
    module = sys.modules.get(cls.__module__)
    return vars(module) if module is not None else {}


def _sources(scope: dict[str, Any], functions: list[FunctionType]) -> tuple[Source, ...]:
    """Where the definition of a class may stand: its module's file, or the notebook cell of a method."""
    names = [scope.get("__file__"), *(function.__code__.co_filename for function in functions)]
    sources = [source_of(name, scope) for name in dict.fromkeys(names) if isinstance(name, str)]
    return tuple(source for source in sources if source is not None)


def _folder_of(scope: dict[str, Any]) -> str:
    file = scope.get("__file__")
    return str(Path(file).parent.absolute()) if isinstance(file, str) else ""


def _seen_from(here: str, text: str) -> str:
    """A path below the folder of the code, as seen from there; any other text as it is."""
    is_below = bool(here) and (text == here or text.startswith(here + os.sep))
    return f"<here>{text[len(here) :]}" if is_below else text


def _place_in_set(value: object) -> tuple[str, str]:
    """A key to sort by that no address enters: sets have another order in each process."""
    name = getattr(value, "__qualname__", None)
    is_plain = isinstance(
        value, (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, enum.Enum, PurePath)
    )
    return type(value).__qualname__, name if isinstance(name, str) else repr(value) if is_plain else ""
