"""Modules that are loaded when they are first used: the one home of late imports.

``import pyflow`` happens in every container and every worker, most of which never need ``zipfile`` or
``numpy``. Write it so, and type checkers see an ordinary import::

    if TYPE_CHECKING:
        import zipfile
    else:
        zipfile = late("zipfile")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _Late:
    """Stands for a module until somebody asks it for something."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        # Found at once the next time.
        self.__dict__[name] = value
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        # A function that travels takes along the globals it uses, these among them.
        return late, (self._name,)

    def __repr__(self) -> str:
        return f"<module {self._name!r}, loaded when used>"


def late(name: str) -> ModuleType:
    """The module of that name, without loading it yet.

    Raises:
        ModuleNotFoundError: When it is used, not before, and there is no such module.
    """
    module: Any = _Late(name)
    return module  # type: ignore[no-any-return]


def late_names(package: dict[str, Any], names_by_home: Mapping[str, str]) -> Callable[[str], object]:
    """A ``__getattr__`` for a package (PEP 562), which loads each of its names from its home when that is asked for.

    A process that runs one task needs few of them, and would wait for all. Type checkers see the imports that stand
    beside it under ``if TYPE_CHECKING``. No name may be that of a file of the package, which would take its place.

    Args:
        package: ``globals()`` of the package.
        names_by_home: The names of each module, with blanks between them.
    """
    homes = {name: home for home, names in names_by_home.items() for name in names.split()}

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        value: object = getattr(import_module(homes[name]), name)
        package[name] = value
        return value

    return find
