"""Which functions are seen to be as they were, and that a change is seen."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyflow.payload import watch

PREAMBLE = """
import functools
import json
import math
import re
import sys
import typing
import numpy as np
from pathlib import Path
RATE, NAME, PLACE, PATTERN, LIMITS = 0.5, "x", Path("a"), re.compile("a"), (1, (2, "b"))
TABLE = {}
class Own:
    n = 0
def helper(x):
    return x + RATE
"""


def by_value(source: str) -> Any:
    """The function ``f`` of a source, with all else that the source names and no more, as unpickling would make it."""
    everything: dict[str, Any] = {"__name__": "__main__"}
    exec(PREAMBLE + source, everything)
    return everything["f"] if "class Mine" in source else _alone(everything["f"], everything)


def _alone(function: Any, everything: dict[str, Any]) -> Any:
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    if "helper" in names:
        names |= set(everything["helper"].__code__.co_names)
    kept = {name: everything[name] for name in names if name in everything}
    made = type(function)(function.__code__, kept, function.__name__, function.__defaults__, function.__closure__)
    made.__module__, made.__kwdefaults__ = "__main__", function.__kwdefaults__
    made.__annotations__ = dict(function.__annotations__)
    vars(made).update(vars(function))
    if "helper" in kept:
        kept["helper"] = _alone(everything["helper"], everything)
    if function.__name__ in kept:
        kept[function.__name__] = made
    return made


def _codes(code: Any) -> list[Any]:
    return [code, *(c for const in code.co_consts if hasattr(const, "co_code") for c in _codes(const))]


STATELESS = {
    "plain": "def f(x): return x + 1",
    "constants": "def f(x): return RATE, NAME, PLACE, PATTERN, LIMITS",
    "modules": "def f(x): return json.dumps(math.sqrt(x))",
    "annotations": "def f(x: list[int] | None, y: typing.Optional[Path] = None) -> 'Own': return x",
    "helper": "def f(x): return helper(x)",
    "recursion": "def f(x): return x and f(x - 1)",
    "own variables": "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n",
    "sets of arguments": "def f(x):\n    x.title = 'a'\n    return x",
    "defaults": "def f(x, y=1, *, z=(2, 'c')): return x",
    "around": "def make(n):\n    def f(x): return x + n\n    return f\nf = make(3)",
}
CHANGED = {
    "a global list": "def f(x): TABLE[1] = 2",
    "a global that is set": "def f(x):\n    global RATE\n    RATE += 1\n    return RATE",
    "a global that is set within": "def f(x):\n    def g():\n        global RATE\n        RATE = 1\n    return g()",
    "a global that is removed": "def f(x):\n    global RATE\n    del RATE",
    "a default": "def f(x, y=[]): y.append(1)",
    "a keyword's default": "def f(x, *, y={}): y[1] = 2",
    "other defaults": "def f(x, y=1): f.__defaults__ = (2,)",
    "around": "def make(n):\n    def f(x): n.append(1)\n    return f\nf = make([])",
    "around that is set": (
        "def make(n):\n    def f(x):\n        nonlocal n\n        n += 1\n        return n\n    return f\nf = make(0)"
    ),
    "around that is set within": (
        "def make(n):\n    def f(x):\n        def g():\n            nonlocal n\n            n += 1\n        g()\n"
        "        return n\n    return f\nf = make(0)"
    ),
    "an attribute of a helper": "def f(x):\n    helper.calls = 1\n    return helper(x)",
    "an attribute of its own": "def f(x):\n    f.calls = 1\n    return x",
    "an attribute by name": "def f(x):\n    setattr(helper, 'calls', 1)\n    return x",
    "an attribute that others set": "def f(x):\n    functools.update_wrapper(helper, len)",
    "an annotation": "def f(x):\n    helper.__annotations__['x'] = int",
    "all globals": "def f(x): globals()['RATE'] = 2",
    "globals of the frame": "def f(x): sys._getframe().f_globals['RATE'] = 2",
    "other code": "def f(x): helper.__code__ = f.__code__",
    "an array": "def f(x):\n    global RATE\n    RATE = np.zeros(3)",
    "an attribute that can change": "def f(x): f.cache[1] = 2\nf.cache = {}",
    "a class": "class Mine: n = 0\ndef f(x): Mine.n = 1",
    "a class in an annotation": "class Mine: n = 0\ndef f(x: Mine): typing.get_type_hints(f)",
    "a class in a part of an annotation": "class Mine: n = 0\ndef f(x: list[Mine] | None): pass",
}


class Thing:
    pass


@pytest.mark.parametrize("source", STATELESS.values(), ids=STATELESS)
def test_what_cannot_keep_anything_is_known(source):
    """Functions that use constants, modules and each other need not be made for each call."""
    function = by_value(source)
    is_as_before = watch(function)
    assert is_as_before is not None
    assert is_as_before()
    function(Thing() if "title" in source else 3)
    assert is_as_before()


@pytest.mark.parametrize("source", CHANGED.values(), ids=CHANGED)
def test_what_a_call_has_changed_is_seen(source):
    """A function that could have been changed unseen is made for each call, and any other once it was changed."""
    function = by_value(source)
    is_as_before = watch(function)
    if is_as_before is None:
        return
    assert is_as_before()
    function(3)
    assert not is_as_before()


def test_constants_may_be_nested_deeply():
    """What a function sees is gone through without recursion."""
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)

    def function():
        return deep

    assert watch(function) is None or watch(function)()
    while deep:  # or taking it down would recurse
        (deep,) = deep


def test_what_is_imported_is_not_looked_into():
    """Functions and classes of modules are the process's, and what is no function is not known well enough."""
    imported: list[Callable[..., Any]] = [json.dumps, len, math.sqrt, Path, re.sub]
    assert all(watch(each) for each in imported)
    assert not any(watch(each) for each in (functools.partial(len), [].append, object()))
