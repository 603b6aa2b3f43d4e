"""What comes along by value and is there already: classes of a script, and the functions in it.

A class of a script or notebook comes along with each of its objects and functions. Where it is known already, it is found
again, so that ``isinstance`` holds; but what came along, its methods with copies of their globals and its attributes, is not to
overwrite what the class has here: a result that is looked at would change the class of who looks, back to what it was when it
was sent. So a class is filled when it is made here, and again at most once in each block of ``own_code``, at whose end it is as
it was before.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing_extensions import Self

_KNOWN: Final[weakref.WeakValueDictionary[str, type]] = weakref.WeakValueDictionary()
"""The classes by value that were made here, or sent from here, by what cloudpickle calls each in all processes."""

_BLOCK: Final[ContextVar[own_code | None]] = ContextVar("pyflow_own_code", default=None)
_NOTHING: Final = object()


class own_code:  # noqa: N801  a block, as ``contextlib.suppress`` is; one that is a generator takes three times as long
    """Within the block, which runs one task, classes are as they were sent; then they are as they were before.

    Attributes:
        filled: The classes that came along, each with what it has outside of the block.
        functions: The functions of a script that came along.
    """

    __slots__ = ("_token", "filled", "functions")

    def __enter__(self) -> Self:
        self.filled: dict[type, dict[str, object]] = {}
        self.functions: list[object] = []
        self._token = _BLOCK.set(self)
        return self

    def __exit__(self, *_raised: object) -> None:
        _BLOCK.reset(self._token)
        for cls, before in self.filled.items():
            _put_back(cls, before)


def know(name: str, cls: type) -> None:
    """Remember that a class is sent from here: what comes back of it changes nothing here."""
    _KNOWN[name] = cls


def find(name: str, make: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    """The class of that name: the one that is known, else one that is made now, and is to be filled."""
    known = _KNOWN.get(name)
    return make(*arguments) if known is None else known


def fill(cls: type, state: tuple[str, Callable[[type, Any], object], Any]) -> None:
    """Give a class what came along with it, unless it has its own."""
    name, setter, attributes = state
    block = _BLOCK.get()
    if _KNOWN.get(name) is not cls:
        setter(cls, attributes)
        _KNOWN[name] = cls
        if block is not None:
            block.filled[cls] = dict(vars(cls))
    elif block is not None and cls not in block.filled:
        block.filled[cls] = dict(vars(cls))
        _set(cls, attributes[0])


def note(function: object) -> None:
    """Remember that a function of a script came along in this block."""
    block = _BLOCK.get()
    if block is not None:
        block.functions.append(function)


def _set(cls: type, attributes: dict[str, Any]) -> None:
    # Past the metaclass: one that watches over attributes, as that of enums does, has let each of them pass once.
    for name, value in attributes.items():
        if name != "_abc_impl":
            type.__setattr__(cls, name, value)
    if "__firstlineno__" in attributes:  # from Python 3.13 on ``__module__``, when it is set, takes it away
        type.__setattr__(cls, "__firstlineno__", attributes["__firstlineno__"])


def _put_back(cls: type, before: dict[str, object]) -> None:
    for name in vars(cls).keys() - before.keys():
        type.__delattr__(cls, name)
    for name, value in before.items():
        if vars(cls).get(name, _NOTHING) is not value:
            type.__setattr__(cls, name, value)
