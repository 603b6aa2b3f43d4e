"""Where in a source file a name gets its value, for messages: ``etl.py:12``.

Found by reading the source again; nothing is run. Cells of notebooks and of the REPL are sources, too: the
one that assigns a global is often another than the one that uses it.
"""

from __future__ import annotations

import ast
import linecache
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

from pyflow.source import parse_source


def place_of_function(fn: FunctionType) -> str:
    """The file and line of a function."""
    return _label(fn.__code__.co_filename, fn.__code__.co_firstlineno)


def place_of_global(fn: FunctionType, name: str) -> str | None:
    """Where a global that a function uses is assigned last, outside of all functions; None when nowhere."""
    for filename in [fn.__code__.co_filename, *_cells()]:
        lines = list(_assignments(filename, fn, name, is_deep=False))
        if lines:
            return _label(filename, max(lines))
    return None


def place_of_variable(fn: FunctionType, name: str) -> str | None:
    """Where a variable that a function closes over is assigned, the last place before the function."""
    filename, first = fn.__code__.co_filename, fn.__code__.co_firstlineno
    lines = [line for line in _assignments(filename, fn, name, is_deep=True) if line <= first]
    return _label(filename, max(lines)) if lines else None


def _cells() -> list[str]:
    """The cells that have been run, the latest first."""
    return [name for name in reversed(list(linecache.cache)) if _is_cell(name)]


def _is_cell(filename: str) -> bool:
    return filename.startswith("<") or "ipykernel_" in filename


def _label(filename: str, line: int) -> str:
    if _is_cell(filename):
        return f"line {line} of its cell"
    shown = Path(filename)
    here = os.path.relpath(shown)
    return f"{shown.name if here.startswith('..') else here}:{line}"


def _assignments(filename: str, fn: FunctionType, name: str, *, is_deep: bool) -> Iterator[int]:
    source = "".join(linecache.getlines(filename, fn.__globals__))
    try:
        left: deque[ast.AST] = deque([parse_source(source)])
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a cell with magics, or no source at all
        return
    while left:
        node = left.popleft()
        if name in _names(node):
            yield node.lineno  # type: ignore[attr-defined]
        is_scope = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))
        if is_deep or not is_scope:
            left.extend(ast.iter_child_nodes(node))


def _names(node: ast.AST) -> list[str]:
    """The names that a node of the tree gives a value."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
    return []
