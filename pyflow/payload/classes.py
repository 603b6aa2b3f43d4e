"""What classes that travel by value look like in this process.

A class of a script or notebook comes along with each of its objects and functions. Where it is known already, it is found
again, so that ``isinstance`` holds; but what came along, its methods with copies of their globals and its attributes, is not to
overwrite what the class has here: a result that is looked at would change the class of who looks, back to what it was when it
was sent. So a class is filled when it is made here, and again at most once in each block of ``classes_of_its_own``, at whose
end it is as it was before.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing_extensions import Self

_KNOWN: Final[weakref.WeakSet[type]] = weakref.WeakSet()
"""The classes by value that need no filling: made here, or sent from here."""

_FILLED: Final[ContextVar[dict[type, dict[str, object]] | None]] = ContextVar("pyflow_filled_classes", default=None)
"""The classes that were filled in this block, each with what it has outside of it."""

_NOTHING: Final = object()


def know(cls: type) -> None:
    """Remember that a class is sent from here: what comes back of it changes nothing here."""
    _KNOWN.add(cls)


def fill(cls: type, state: tuple[Callable[[type, Any], object], Any]) -> None:
    """Give a class what came along with it, unless it has its own."""
    setter, attributes = state
    filled = _FILLED.get()
    is_known = cls in _KNOWN
    if is_known and (filled is None or cls in filled):
        return
    before = dict(vars(cls))
    setter(cls, attributes)
    _KNOWN.add(cls)
    if filled is not None:
        filled[cls] = before if is_known else dict(vars(cls))


class classes_of_its_own:  # noqa: N801  a block, as ``contextlib.suppress`` is; one that is a generator takes three times as long
    """Within the block, which runs one task, classes are as they were sent; then they are as they were before."""

    __slots__ = ("_filled", "_token")

    def __enter__(self) -> Self:
        self._filled: dict[type, dict[str, object]] = {}
        self._token = _FILLED.set(self._filled)
        return self

    def __iter__(self) -> Iterator[type]:
        """The classes that came along so far."""
        return iter(self._filled)

    def __exit__(self, *_raised: object) -> None:
        _FILLED.reset(self._token)
        for cls, before in self._filled.items():
            _put_back(cls, before)


def _put_back(cls: type, before: dict[str, object]) -> None:
    # Past the metaclass: one that watches over attributes, as that of enums does, is not asked.
    for name in vars(cls).keys() - before.keys():
        type.__delattr__(cls, name)
    for name, value in before.items():
        if vars(cls).get(name, _NOTHING) is not value:
            type.__setattr__(cls, name, value)
