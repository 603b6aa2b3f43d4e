"""What a function or an object refers to, as far as Python itself can tell."""

from __future__ import annotations

import dis
from types import CodeType, FunctionType, ModuleType
from typing import Any


def names_used(code: CodeType) -> set[str]:
    """Names that a function's code, or that of a function inside it, may look up in its globals."""
    names = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            names |= names_used(inner)
    return names


def globals_read(code: CodeType) -> list[tuple[str, int]]:
    """Names that the code, or that of a function inside it, looks up in its globals, each with the line where it does."""
    found: list[tuple[str, int]] = []
    line, line_at = code.co_firstlineno, dict(dis.findlinestarts(code))
    for step in dis.get_instructions(code):
        line = line_at.get(step.offset) or line
        if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            found.append((str(step.argval), line))
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found += globals_read(inner)
    return found


def globals_written(code: CodeType) -> set[str]:
    """Names that the code, or that of a function inside it, may give a value: globals, and names in the body of a class."""
    found = {str(step.argval) for step in dis.get_instructions(code) if step.opname in {"STORE_GLOBAL", "STORE_NAME"}}
    return found.union(*(globals_written(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def cells_of(function: FunctionType) -> dict[str, Any]:
    """The values that a function captured, by name; variables without a value yet are left out."""
    pairs = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return {name: cell.cell_contents for name, cell in pairs if _is_filled(cell)}


def inner_functions(value: object) -> list[object]:
    """The functions that an object wraps: ``__wrapped__``, ``__func__`` of a static method, ``fn`` of a task."""
    wrapped = (_own(value, "__wrapped__"), _own(value, "__func__"))
    task = _own(value, "fn") if is_ours(type(value)) else None
    return [inner for inner in (*wrapped, task) if inner is not None]


def is_ours(value: object) -> bool:
    """True for a module, class or function of pyflow itself."""
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] == "pyflow"


def attributes_of(value: object) -> dict[str, Any]:
    """The attributes that an object itself holds, without asking a hook of its class."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:  # an object with slots, or a built-in
        return {}
    return found if isinstance(found, dict) else {}


def _own(value: object, name: str) -> object | None:
    # An object may answer to every name (a placeholder, a proxy): only what it really has counts.
    if name in attributes_of(value) or hasattr(type(value), name):
        return getattr(value, name, None)
    return None


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a variable that is assigned later, or never
        return False
    return True
