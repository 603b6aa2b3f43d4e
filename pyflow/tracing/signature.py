"""Does a call fit a function? Answered by Python itself, with its own TypeError, in a fraction of a microsecond.

For a plain function the answer comes from a twin: a function with the same parameters and an empty
body. Calling the twin binds the arguments exactly as the real call would. Everything else that can be
called is asked through ``inspect``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Final

from pyflow.graph import Parameter

_VARARGS: Final = inspect.CO_VARARGS
_VARKEYWORDS: Final = inspect.CO_VARKEYWORDS
_PLAIN_FLAGS: Final = inspect.CO_OPTIMIZED | inspect.CO_NEWLOCALS | _VARARGS | _VARKEYWORDS


def _nothing() -> None: ...


def binder(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes what ``fn`` takes, raises the TypeError of a wrong call, and does nothing else."""
    if isinstance(fn, FunctionType):
        return _twin(fn)
    try:
        return inspect.signature(fn).bind
    except (ValueError, TypeError):  # built-ins that do not tell: their call will
        return lambda *args, **kwargs: None  # noqa: ARG005


def check_arguments(bind: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise the TypeError of a plain call when arguments do not fit.

    Args:
        bind: What ``binder`` gave.
    """
    # The author's line has the fault: what prints tracebacks leaves out pyflow's lines above it.
    __tracebackhide__ = True
    bind(*args, **kwargs)


def _twin(fn: FunctionType) -> FunctionType:
    code = fn.__code__
    changes: dict[str, Any] = {
        "co_argcount": code.co_argcount,
        "co_posonlyargcount": code.co_posonlyargcount,
        "co_kwonlyargcount": code.co_kwonlyargcount,
        "co_varnames": parameter_names(code),
        "co_nlocals": len(parameter_names(code)),
        "co_flags": (code.co_flags & (_VARARGS | _VARKEYWORDS))
        | (_nothing.__code__.co_flags & ~(_VARARGS | _VARKEYWORDS)),
        "co_name": code.co_name,
        "co_filename": code.co_filename,
        "co_firstlineno": code.co_firstlineno,
    }
    if hasattr(code, "co_qualname"):  # since Python 3.11
        changes["co_qualname"] = code.co_qualname
    twin = FunctionType(_nothing.__code__.replace(**changes), {}, fn.__name__, fn.__defaults__)
    twin.__kwdefaults__ = fn.__kwdefaults__
    twin.__qualname__ = fn.__qualname__
    return twin


def parameter_names(code: CodeType) -> tuple[str, ...]:
    """All parameters, as the code object orders them: positional, keyword-only, ``*args``, ``**kwargs``."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & _VARARGS) + bool(code.co_flags & _VARKEYWORDS)
    return code.co_varnames[:count]


def positional_names(fn: Callable[..., Any]) -> list[str]:
    """The names of the parameters that take positional arguments; fewer than arguments when there is ``*args``."""
    if isinstance(fn, FunctionType):
        return list(fn.__code__.co_varnames[: fn.__code__.co_argcount])
    try:
        signature = inspect.signature(fn)
    except (ValueError, TypeError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in signature.parameters.values() if p.kind in kinds]


def parameters_of(fn: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The parameters of a pipeline, for listings; ``*args`` and ``**kwargs`` are marked by their stars."""
    stars: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    listed = []
    for p in inspect.signature(fn).parameters.values():
        is_required = p.default is p.empty and p.kind not in stars
        annotation = "" if p.annotation is p.empty else _annotation_text(p.annotation)
        default = None if p.default is p.empty else p.default
        listed.append(Parameter(stars.get(p.kind, "") + p.name, annotation, default, is_required))
    return tuple(listed)


def _annotation_text(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def known_length(fn: Any) -> int | None:
    """How many parts the result has, by the annotation ``-> tuple[A, B]`` or ``-> SomeNamedTuple``."""
    annotation = getattr(fn, "__annotations__", {}).get("return") if not isinstance(fn, type) else None
    if isinstance(annotation, str):
        return _length_in_text(annotation, getattr(fn, "__globals__", {}))
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return len(annotation._fields)
    if getattr(annotation, "__origin__", None) is not tuple:
        return None
    args = annotation.__args__  # type: ignore[union-attr]
    return None if ... in args or args == ((),) else len(args) or None


def _length_in_text(annotation: str, names: dict[str, Any]) -> int | None:
    text = annotation.strip()
    named = names.get(text)
    if isinstance(named, type) and issubclass(named, tuple) and hasattr(named, "_fields"):
        return len(named._fields)
    head, bracket, rest = text.partition("[")
    if not bracket or not rest.endswith("]") or head.rpartition(".")[2] not in ("tuple", "Tuple"):
        return None
    items = _split(rest[:-1])
    return None if "..." in items or items == ["()"] or not items else len(items)


def _split(text: str) -> list[str]:
    """Split at the commas that are in no bracket and in no quotes."""
    items, depth, start, quote = [], 0, 0, ""
    for position, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "[(":
            depth += 1
        elif sign in "])":
            depth -= 1
        elif sign == "," and not depth:
            items.append(text[start:position].strip())
            start = position + 1
    items.append(text[start:].strip())
    return [item for item in items if item]
