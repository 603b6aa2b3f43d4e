"""Whether a function is as it was when it was made, so that it need not be made again for the next call.

A function that travels by value has globals, defaults and variables around it that are its own, and what one call changes there the
next one would see. Where all that it sees is of types that never change, a change means that a name stands for something else
now, and that is quickly seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CellType, EllipsisType, FunctionType, ModuleType, NoneType
from typing import Any, Final

from pyflow.payload.paths import PATH_TYPE
from pyflow.payload.references import place_of

_UNCHANGING: Final = frozenset(
    {NoneType, EllipsisType, bool, int, float, complex, str, bytes, range, ModuleType, PATH_TYPE, re.Pattern}
)
"""Types of which nothing can change. Modules can, and are the process's own: nobody puts them back."""


def watch(function: object) -> Callable[[], bool] | None:
    """A function that says whether a function, and each that it sees, is as it is now; None where that cannot be seen.

    Modules, and what is found in them, are not looked into.
    """
    functions: list[FunctionType] = []
    left = [function]
    while left:
        value = left.pop()
        kind = type(value)
        if kind in _UNCHANGING or (isinstance(value, FunctionType | type) and place_of(value) is not None):
            continue
        if isinstance(value, tuple | frozenset) and kind in {tuple, frozenset}:
            left.extend(value)
        elif kind is BuiltinFunctionType and isinstance(value.__self__, ModuleType | NoneType):  # type: ignore[attr-defined]
            continue
        elif not isinstance(value, FunctionType) or not all(
            map(_is_unchanging_annotation, value.__annotations__.values())
        ):
            return None
        elif value not in functions:
            functions.append(value)
            left.extend(seen_by(value))
    states = [(each, _state_of(each)) for each in functions]
    return lambda: all(_is_as_before(each, state) for each, state in states)


def seen_by(function: FunctionType) -> Iterator[object]:
    """What a function that travels by value has of its own: globals, what is around it, defaults, attributes."""
    yield from (value for name, value in function.__globals__.items() if name != "__builtins__")
    yield from map(_contents, function.__closure__ or ())
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it has none yet
        return None


def _is_unchanging_annotation(annotation: Any) -> bool:
    """Whether no class in it travels by value; what is said with classes cannot be changed otherwise."""
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return place_of(annotation) is not None
    return all(map(_is_unchanging_annotation, getattr(annotation, "__args__", ())))


def _state_of(function: FunctionType) -> tuple[object, ...]:
    return (
        function.__code__,
        function.__defaults__,
        function.__kwdefaults__ and dict(function.__kwdefaults__),
        [*map(_contents, function.__closure__ or ())],
        dict(vars(function)),
        dict(function.__annotations__),
        dict(function.__globals__),
    )


def _is_as_before(function: FunctionType, state: tuple[object, ...]) -> bool:
    code, defaults, kwdefaults, around, attributes, annotations, names = state
    try:
        return (
            function.__code__ is code
            and function.__globals__ == names
            and vars(function) == attributes
            and function.__defaults__ == defaults
            and function.__kwdefaults__ == kwdefaults
            and [*map(_contents, function.__closure__ or ())] == around
            and function.__annotations__ == annotations
        )
    except Exception:  # noqa: BLE001  an array that a name stands for now says of itself neither that it is equal nor that it is not
        return False
