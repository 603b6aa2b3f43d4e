"""The text of Python code → its syntax tree, whatever other threads do meanwhile."""

from __future__ import annotations

import ast
import contextlib
import threading
from typing import Final

_ONE_AT_A_TIME: Final = threading.Lock()
_MOST_TRIES: Final = 5


def parse_source(text: str | bytes) -> ast.Module:
    """The tree of a module's text.

    CPython up to 3.12 counts how deep trees are for all threads together, and says so by a ``SystemError`` when two that are made at
    the same time differ. Ours take turns; beside others it is tried again.

    Raises:
        SyntaxError: It is no Python.
        ValueError: There is a NUL in it.
    """
    with _ONE_AT_A_TIME:
        for _ in range(_MOST_TRIES):
            with contextlib.suppress(SystemError):
                return ast.parse(text)
        return ast.parse(text)
