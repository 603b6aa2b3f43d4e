"""Placeholders that a task's function has captured: in its closure, its defaults or the globals it reads.

Such a function would carry the placeholder to the worker, where it stands for nothing. Found at the
first call of the task in a trace, and once more when the body has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from pyflow.errors import DefinitionError
from pyflow.graph import Location
from pyflow.tracing.condition import Condition
from pyflow.tracing.traced import Traced, describe, ended
from pyflow.tracing.values import placeholders_in


def refuse_captures(fn: Any, name: str, at: Location) -> None:
    """Raise when the function of a task holds a placeholder.

    Raises:
        DefinitionError: It does; the message names the variable.
    """
    for kind, variable, value in _held_by(fn, set()):
        if isinstance(value, Condition):
            raise DefinitionError(
                f"Task {name!r} (called at {at}) uses the {kind} {variable!r}, which is the condition ({value.text}) of {value.at}. "
                "A condition may only be used by `when`: compare inside the task, and give it the values as arguments."
            )
        found = next(placeholders_in(value), None) if isinstance(value, (Traced, list, tuple, dict)) else None
        if found is not None:
            how = (
                f"Give it to the task when you call it: {name}(...)."
                if kind == "argument of partial"
                else f"Give it to the task as an argument: def {name}(..., {variable}), called {name}(..., {variable}={variable})."
            )
            late = "" if found.__pyflow_origin__.scope.trace.is_open else f" {ended(found)}"
            raise DefinitionError(
                f"Task {name!r} (called at {at}) uses the {kind} {variable!r}, which holds {describe(found)}. The task would get the "
                f"placeholder and not the value.{late} {how}"
            )


def _held_by(fn: Any, seen: set[int]) -> Iterator[tuple[str, str, Any]]:
    """Kind, name and value of everything that the function refers to without being given it."""
    while isinstance(fn, MethodType):
        fn = fn.__func__
    if hasattr(fn, "func") and not isinstance(fn, FunctionType):  # functools.partial
        yield from (
            ("argument of partial", f"number {i + 1}", value) for i, value in enumerate(getattr(fn, "args", ()))
        )
        yield from (("argument of partial", key, value) for key, value in getattr(fn, "keywords", {}).items())
        fn = fn.func
    if not isinstance(fn, FunctionType) or id(fn) in seen:
        return
    seen.add(id(fn))
    for variable, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # assigned later, or never
            continue
        yield "variable", variable, value
        yield from _held_by(value, seen)
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    defaults = fn.__defaults__ or ()
    yield from (
        ("default of", key, value) for key, value in zip(names[len(names) - len(defaults) :], defaults, strict=True)
    )
    yield from (("default of", key, value) for key, value in (fn.__kwdefaults__ or {}).items())
    for variable in _global_names(fn.__code__):
        if variable in fn.__globals__:
            yield "global", variable, fn.__globals__[variable]


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
