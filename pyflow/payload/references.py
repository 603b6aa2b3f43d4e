"""Which functions and classes a pickle names rather than holds, and under which name.

cloudpickle names what it finds under its own name in an imported module. Here the same is asked for, and for
functions that a decorator hides: ``@task`` puts another object under the function's name.
"""

from __future__ import annotations

import functools
import sys
from types import FunctionType
from typing import Final

import cloudpickle

_MAX_UNWRAPS: Final = 10


def place_of(thing: FunctionType | type) -> tuple[str, str] | None:
    """The module and dotted path that lead to a function or class; None when it travels by value."""
    module_name, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module_name, str) or not isinstance(path, str) or module_name == "__main__" or "<" in path:
        return None
    module = sys.modules.get(module_name)
    if module is None or module_name in cloudpickle.list_registry_pickle_by_value():
        return None
    try:
        found: object = functools.reduce(getattr, path.split("."), module)
    except AttributeError:
        return None
    for _ in range(_MAX_UNWRAPS):
        if found is thing:
            return module_name, path
        inner = next((name for name in ("fn", "__wrapped__") if name in getattr(found, "__dict__", ())), None)
        if inner is None:
            return None
        found, path = getattr(found, inner), f"{path}.{inner}"
    return None


def place_behind_decorator(fn: FunctionType) -> tuple[str, str] | None:
    """Where to find a function whose name in its module stands for what a decorator made of it.

    Pickled by value it would bring copies of its module's globals, classes and caches with it.
    """
    place = place_of(fn)
    return None if place is None or place[1] == fn.__qualname__ else place
