"""The text of Python code → its syntax tree, whatever other threads do meanwhile."""

from __future__ import annotations

import ast
import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar

_Tree = TypeVar("_Tree", ast.Module, ast.Expression)
_ONE_AT_A_TIME: Final = threading.Lock()
_MOST_TRIES: Final = 5


def parse_source(text: str | bytes) -> ast.Module:
    """The tree of a module's text.

    Raises:
        SyntaxError: It is no Python.
        ValueError: There is a NUL in it.
    """
    return _parsed(lambda: ast.parse(text))


def parse_expression(text: str) -> ast.expr:
    """The tree of one expression.

    Raises:
        SyntaxError: It is none.
        ValueError: There is a NUL in it.
    """
    return _parsed(lambda: ast.parse(text, mode="eval")).body


def _parsed(parse: Callable[[], _Tree]) -> _Tree:
    """What a parser gives.

    CPython up to 3.12 counts how deep trees are for all threads together, and says so by a ``SystemError`` when two that are made at
    the same time differ. Ours take turns; beside others it is tried again.
    """
    with _ONE_AT_A_TIME:
        for _ in range(_MOST_TRIES):
            with contextlib.suppress(SystemError):
                return parse()
        return parse()
