"""Which functions can tell that they were called before."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyflow.payload import is_stateless

PREAMBLE = """
import json
import math
import re
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
    return everything["f"] if "class" in source else _alone(everything["f"], everything)


def _alone(function: Any, everything: dict[str, Any]) -> Any:
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    if "helper" in names:
        names |= set(everything["helper"].__code__.co_names)
    kept = {name: everything[name] for name in names if name in everything}
    made = type(function)(function.__code__, kept, function.__name__, function.__defaults__, function.__closure__)
    made.__module__, made.__kwdefaults__ = "__main__", function.__kwdefaults__
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
    "helper": "def f(x): return helper(x)",
    "recursion": "def f(x): return x and f(x - 1)",
    "own variables": "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n",
    "sets of arguments": "def f(x):\n    x.title = 'a'\n    return x",
    "defaults": "def f(x, y=1, *, z=(2, 'c')): return x",
    "around": "def make(n):\n    def f(x): return x + n\n    return f\nf = make(3)",
}
STATEFUL = {
    "a global list": "def f(x): return TABLE",
    "a global that is set": "def f(x):\n    global RATE\n    RATE += 1\n    return RATE",
    "a global that is set within": "def f(x):\n    def g():\n        global RATE\n        RATE = 1\n    return g()",
    "a default": "def f(x, y=[]): return y",
    "a keyword's default": "def f(x, *, y={}): return y",
    "around": "def make(n):\n    def f(x): return n\n    return f\nf = make([])",
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
    "all globals": "def f(x): return globals()",
    "its dictionary": "def f(x): return f.__dict__",
    "an attribute": "def f(x): return x\nf.cache = {}",
    "a class": "class Mine: n = 0\ndef f(x): return Mine",
}


@pytest.mark.parametrize("source", STATELESS.values(), ids=STATELESS)
def test_what_cannot_keep_anything_is_known(source):
    """Functions that use constants, modules and each other need not be made for each call."""
    assert is_stateless(by_value(source))


@pytest.mark.parametrize("source", STATEFUL.values(), ids=STATEFUL)
def test_what_could_keep_something_is_known(source):
    """A function that a call might change is made for each call."""
    assert not is_stateless(by_value(source))


def test_what_is_imported_is_not_looked_into():
    """Functions and classes of modules are the process's, and what is no function is not known well enough."""
    imported: list[Callable[..., Any]] = [json.dumps, len, math.sqrt, Path, re.sub]
    assert all(is_stateless(each) for each in imported)
    assert not any(is_stateless(each) for each in (functools.partial(len), [].append, object()))
