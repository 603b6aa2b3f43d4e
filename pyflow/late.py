"""Modules that are loaded when they are first used: the one home of late imports of other people's modules.

``import pyflow`` happens in every container and every worker, most of which never need ``zipfile`` or
``numpy``. Write it so, and type checkers see an ordinary import::

    if TYPE_CHECKING:
        import zipfile
    else:
        zipfile = late("zipfile")
"""

from __future__ import annotations

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
