"""What the clean process does: load each function, import what its code imports, and say what failed.

Runs in a process of its own, never in the caller's. It writes one line of JSON for each function to standard
output; what user code prints while it is imported goes to standard error.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias

from pyflow.bundle.imports import imports_in_code
from pyflow.bundle.references import cells_of, globals_read, globals_written, inner_functions, names_used
from pyflow.bundle.stray import missing_file_advice

Answer: TypeAlias = "dict[str, str]"

_PLAIN = (str, bytes, int, float, complex, list, tuple, dict, set, frozenset, type(None), ModuleType)

_UNCLEAR = {"NameError", "Exception", "globals", "exec", "eval"}


def answer(request: dict[str, Any]) -> None:
    """Write a first line, then one for each function: a list of what is missing, with its place and error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        module, _, name = request["decoder"].partition(":")
        decode = getattr(importlib.import_module(module), name)
        answers.write('"ready"\n')
        answers.flush()
        for number, payload in enumerate(request["payloads"]):
            scratch = Path(f"scratch-{number}").absolute()
            scratch.mkdir()
            found = _check(partial(decode, scratch=scratch), Path(payload), request["bundle"])
            # At once: the next function may end the process.
            answers.write(json.dumps(found) + "\n")
            answers.flush()


def _check(decode: Callable[[memoryview], Any], payload: Path, bundle: str) -> list[Answer]:
    try:
        function = decode(memoryview(bytearray(payload.read_bytes())))
    except BaseException as error:  # noqa: BLE001 - user code runs here, and may ask the process to end
        return [_failure(error, bundle)]
    found = []
    codes = list(_codes_of(function, {}, bundle))
    for code, scope in codes:
        for one in imports_in_code(code):
            names = one.absolute(scope.get("__package__") or "")
            raised = _error_of_import(names) if names else None
            if raised is not None:
                found.append(_failure(raised, bundle, f"{code.co_filename}:{one.line}", names[0]))
    return found + _undefined(codes)


def _undefined(codes: list[tuple[CodeType, dict[str, Any]]]) -> list[Answer]:
    """The names that code looks up and that nobody has defined: each at its first line."""
    made_later = set().union(*(globals_written(code) for code, _ in codes))
    # Behind the function itself, whatever the file may define at all counts: nobody knows here what has run before.
    by_file = set().union(*map(_written_in, _scopes_of(codes[1:])))
    found: dict[str, Answer] = {}
    for number, (code, scope) in enumerate(codes):
        made = made_later | by_file if number else made_later
        # Code that is ready for a missing name, or makes names that no reader sees, is left alone.
        is_unclear = not _UNCLEAR.isdisjoint(names_used(code))
        for name, line in () if is_unclear else globals_read(code):
            if name not in scope and name not in made and not hasattr(builtins, name):
                at = f"{code.co_filename}:{line}"
                error = f"the name {name!r} is not defined"
                found.setdefault(name, {"module": "", "name": name, "at": at, "error": error})
    return list(found.values())


def _failure(error: BaseException, bundle: str, at: str = "", module: str = "") -> Answer:
    """A failure as the caller reports it: by the module that is not there, if that is the reason."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    reason = next((one for one in reversed(causes) if isinstance(one, ImportError)), causes[0])
    advice = missing_file_advice(reason, [bundle])
    shipped = [
        frame
        for one in causes
        for frame in traceback.extract_tb(one.__traceback__)
        if _is_below(bundle, frame.filename)
    ]
    return {
        "module": (reason.name if isinstance(reason, ImportError) else None) or module,
        "at": f"{shipped[-1].filename}:{shipped[-1].lineno}" if shipped else at,
        "error": f"{''.join(traceback.format_exception_only(type(reason), reason)).strip()} {advice}".rstrip(),
    }


def _is_below(folder: str, path: str) -> bool:
    return bool(folder) and path.startswith(folder + os.sep)


def _error_of_import(names: list[str]) -> BaseException | None:
    """Import a module as a function would, with the names it takes from it."""
    base, *parts = names
    try:
        module = importlib.import_module(base)
        for part in parts:
            if not hasattr(module, part.rpartition(".")[2]):
                importlib.import_module(part)
    except BaseException as error:  # noqa: BLE001 - user code runs here, and may ask the process to end
        return error
    return None


def _codes_of(value: Any, seen: dict[int, object], bundle: str) -> Iterator[tuple[CodeType, dict[str, Any]]]:
    """The code of a function and its globals, and of what travels with it: globals, cells, methods, functions of shipped files."""
    if id(value) in seen or isinstance(value, _PLAIN):
        return
    seen[id(value)] = value
    inner: list[object] = inner_functions(value)
    if isinstance(value, FunctionType):
        scope = value.__globals__
        yield value.__code__, scope
        inner += cells_of(value).values()
        inner += _looked_up(names_used(value.__code__), scope, bundle)
    elif isinstance(value, type):
        inner += vars(value).values() if _is_class_by_value(value) or _is_shipped(value, bundle) else ()
    elif isinstance(value, partial):
        inner += [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, MethodType):
        inner += [value.__self__]
    elif isinstance(value, property):
        inner += [value.fget, value.fset, value.fdel]
    else:
        inner.append(type(value))
    for part in inner:
        yield from _codes_of(part, seen, bundle)


def _looked_up(names: set[str], scope: dict[str, Any], bundle: str) -> Iterator[object]:
    """What code finds under names in its globals: all of it where that came by value, else what stands in shipped files."""
    for name in sorted(names & scope.keys()):
        found = scope[name]
        if isinstance(found, ModuleType) and _is_below(bundle, getattr(found, "__file__", None) or ""):
            yield from (vars(found)[part] for part in sorted(names & vars(found).keys()))
        elif _came_by_value(scope) or _is_shipped(found, bundle):
            yield found


def _is_shipped(value: object, bundle: str) -> bool:
    """Whether a function or class, or what a task is made of, stands in a file of the bundle."""
    # Where it stands, and not where it was imported: a library's functions are not ours to judge.
    functions = [value, *inner_functions(value)]
    scopes = [one.__globals__ for one in functions if isinstance(one, FunctionType)]
    if isinstance(value, type):
        scopes.append(vars(sys.modules.get(value.__module__, builtins)))
    return any(_is_below(bundle, str(scope.get("__file__") or "")) for scope in scopes)


def _scopes_of(codes: list[tuple[CodeType, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The globals of files, each once."""
    return list({id(scope): scope for _, scope in codes if not _came_by_value(scope)}.values())


def _written_in(scope: dict[str, Any]) -> set[str]:
    """The names that any function or method of a file may define later."""
    parts = [value for value in scope.values() if isinstance(value, (FunctionType, type))]
    inside = [part for value in parts for part in (vars(value).values() if isinstance(value, type) else [value])]
    return set().union(*(globals_written(part.__code__) for part in inside if isinstance(part, FunctionType)))


def _came_by_value(scope: dict[str, Any]) -> bool:
    """True for the globals of a function that was pickled with its code: no import made them."""
    return "__spec__" not in scope


def _is_class_by_value(cls: type) -> bool:
    functions = [value for value in vars(cls).values() if isinstance(value, FunctionType)]
    return any(_came_by_value(function.__globals__) for function in functions)
