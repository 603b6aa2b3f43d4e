"""Whether a function can tell that it was called before.

A function that travels by value has globals, defaults and variables around it that are its own. What one call changes there, the next
one would see. Making such a function anew for each call costs as much as unpickling it; so those that
cannot keep anything, which most cannot, are made once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from opcode import opmap
from types import BuiltinFunctionType, CodeType, EllipsisType, FunctionType, ModuleType, NoneType
from typing import Final

from pyflow.payload.paths import PATH_TYPE
from pyflow.payload.references import place_of

_UNCHANGING: Final = frozenset(
    {NoneType, EllipsisType, bool, int, float, complex, str, bytes, range, ModuleType, PATH_TYPE, re.Pattern}
)
"""Types of which nothing can change. Modules can, and are the process's own: nobody puts them back."""

_REBINDS: Final = frozenset(opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL"))
_REBINDS_AROUND: Final = frozenset(opmap[name] for name in ("STORE_DEREF", "DELETE_DEREF"))
_SETS: Final = frozenset(opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
_REACHES: Final = frozenset(
    {"globals", "vars", "setattr", "delattr", "exec", "eval"}
    | {"__dict__", "__globals__", "__builtins__", "__closure__", "__code__", "__defaults__", "__kwdefaults__"}
)
"""Names by which code gets at what is otherwise out of its reach."""


def is_stateless(function: object) -> bool:
    """Whether no call of a function can leave anything in it for the next one. Modules are not looked into.

    ``False`` for everything that is not known well enough.
    """
    functions: list[FunctionType] = []
    if not _is_unchanging(function, functions):
        return False
    codes = [code for each in functions for code in _codes_in(each.__code__)]
    if any(not _REACHES.isdisjoint(code.co_names) for code in codes):
        return False
    # A function of another or of itself has attributes that can be set.
    forbidden = _REBINDS | _SETS if any(_sees_functions(each) for each in functions) else _REBINDS
    if any(each.__closure__ for each in functions):
        forbidden |= _REBINDS_AROUND
    return all(forbidden.isdisjoint(code.co_code[::2]) for code in codes)


def _is_unchanging(value: object, functions: list[FunctionType]) -> bool:
    """Whether nothing can be changed in a value but in functions, which are listed with all that they see."""
    kind = type(value)
    if kind in _UNCHANGING:
        return True
    if kind is tuple or kind is frozenset:
        return all(_is_unchanging(item, functions) for item in value)  # type: ignore[attr-defined]
    if kind is BuiltinFunctionType:
        return isinstance(value.__self__, ModuleType | NoneType)  # type: ignore[attr-defined]
    if isinstance(value, FunctionType | type) and place_of(value) is not None:
        return True
    if not isinstance(value, FunctionType):
        return False
    if value in functions:
        return True
    functions.append(value)
    try:
        return all(_is_unchanging(item, functions) for item in _seen_by(value))
    except ValueError:  # a variable around it that has no value yet
        return False


def _seen_by(function: FunctionType) -> Iterator[object]:
    yield from (value for name, value in function.__globals__.items() if name != "__builtins__")
    yield from (cell.cell_contents for cell in function.__closure__ or ())
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()


def _sees_functions(function: FunctionType) -> bool:
    return any(isinstance(value, FunctionType) and place_of(value) is None for value in _seen_by(function))


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_in(constant)
