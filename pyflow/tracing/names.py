"""Names of nodes: which are allowed, how functions get theirs, and the numbers of a second ``fit-2``."""

from __future__ import annotations

import re
from typing import Any, Final

from pyflow.errors import DefinitionError
from pyflow.graph import Location

MAX_NAME_LENGTH: Final = 80
# No "/" (it ends the prefix of a called pipeline), no "[" (it begins an item of a map), no spaces: names are typed in shells.
_NAME: Final = re.compile(r"[^\W\d][\w.-]*")


def check_name(name: object, *, what: str, at: Location) -> None:
    """Refuse a name that a node cannot have.

    Raises:
        DefinitionError: It is no text, empty, too long, or holds a character that names do not have.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        raise DefinitionError(
            f"{what} cannot be called {name!r} (at {at}). A name begins with a letter or '_', goes on with letters, "
            f"digits, '_', '-' and '.', and has at most {MAX_NAME_LENGTH} characters."
        )


def name_of(fn: Any) -> str:
    """The name that a function, or whatever else can be called, gives to its nodes."""
    while hasattr(fn, "func") and not hasattr(fn, "__name__"):  # functools.partial
        fn = fn.func
    name = getattr(fn, "__name__", None) or type(fn).__name__
    name = "lambda" if name == "<lambda>" else str(name)
    return re.sub(r"[^\w.-]", "_", name)[:MAX_NAME_LENGTH] or "task"


class Names:
    """The names that are taken in one trace."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def take(self, name: str) -> str:
        """This name, or the next free one with a number: ``fit``, ``fit-2``, ``fit-3``."""
        count = self._count.get(name, 0) + 1
        self._count[name] = count
        if count == 1:
            return name
        numbered = f"{name}-{count}"
        while numbered in self._count:
            count += 1
            numbered = f"{name}-{count}"
        self._count[name] = count
        self._count[numbered] = 1
        return numbered
