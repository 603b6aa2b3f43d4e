"""Functions travel by reference where they can be imported, else by value, and work on the other side."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import textwrap
import types
import warnings
from pathlib import Path

import pytest

from pyflow.payload import LargeCaptureWarning, decode, encode, encode_function, read_header

OFFSET = 10


def data_of(fn: object) -> memoryview:
    return memoryview(bytearray(b"".join(encode_function(fn, what="task 'fn'").parts)))


def copy_of(fn: object) -> object:
    data = data_of(fn)
    assert read_header(data).kind == "function"
    return decode(data)


@pytest.fixture
def module(monkeypatch):
    """A function that gives a module made from source, imported under the name it is given."""

    def make(source: str, name: str = "flow_of_test") -> types.ModuleType:
        made = types.ModuleType(name)
        exec(compile(textwrap.dedent(source), f"{name}.py", "exec"), vars(made))
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


def test_a_function_of_a_module_travels_by_name(module):
    """What can be imported is imported on the other side, and is the same object here."""
    flow = module("def fit(x): return x + 1")
    assert copy_of(flow.fit) is flow.fit
    assert copy_of(json.dumps) is json.dumps


def test_a_function_behind_its_decorator_travels_by_name(module):
    """A decorated function is found inside what the decorator left under its name, not copied with its globals."""
    flow = module(
        """
        import functools
        import threading
        lock = threading.Lock()
        class Task:
            def __init__(self, fn): self.fn = fn
        def logged(fn):
            @functools.wraps(fn)
            def inner(*args): return fn(*args)
            return inner
        @Task
        def fit(x): return lock
        @Task
        @logged
        def pick(x): return lock
        """
    )
    assert copy_of(flow.fit.fn) is flow.fit.fn
    assert copy_of(flow.pick.fn) is flow.pick.fn
    assert copy_of(flow.pick.fn.__wrapped__) is flow.pick.fn.__wrapped__


def test_a_name_that_now_means_something_else_travels_by_value(module):
    """A function whose name in its module has been taken by another is copied."""
    flow = module("def fit(x): return x + 1\nfirst = fit\ndef fit(x): return -x")
    assert copy_of(flow.first)(1) == 2
    assert copy_of(flow.fit)(1) == -1


def test_lambdas_closures_partials_and_methods_travel_by_value():
    """What cannot be imported brings what it uses along."""
    factor = 3

    class Scaler:
        def __init__(self, by: int) -> None:
            self.by = by

        def scale(self, x: int) -> int:
            return x * self.by + OFFSET

        def __call__(self, x: int) -> int:
            return x - self.by

        @classmethod
        def name(cls) -> str:
            return cls.__name__

    assert copy_of(lambda x: x * factor + OFFSET)(2) == 16
    assert copy_of(functools.partial(lambda x, y: x - y, 5))(2) == 3
    assert copy_of(Scaler(2).scale)(4) == 18
    assert copy_of(Scaler(2))(4) == 2
    assert copy_of(Scaler.name)() == "Scaler"


def test_async_functions_and_recursion_travel():
    """An async function stays one; a function may call itself."""

    async def wait(x):
        return x

    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)

    with pytest.raises(StopIteration):
        copy_of(wait)(5).send(None)
    assert copy_of(fact)(5) == 120


def test_paths_in_a_function_stay_paths(tmp_path):
    """A function that knows a folder does not bring the folder along."""
    folders = [tmp_path]

    def where():
        return folders

    payload = encode_function(where, what="task 'where'")
    assert payload.size < 10_000
    assert copy_of(where)() == [tmp_path]


SCRIPT = """
import collections, enum, sys
from dataclasses import dataclass
from pyflow.payload import decode, encode, encode_function

class Colour(enum.Enum):
    RED = 1

@dataclass
class Point:
    x: int
    def moved(self): return Point(self.x + STEP)

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(a + b)

Pair = collections.namedtuple("Pair", "a b")
STEP = 5

def helper(p): return p.moved()
def fit(p): return helper(p), Colour.RED

if sys.argv[1] == "write":
    value = {"p": Point(1), "c": Colour.RED, "n": Pair(1, Point(2)), "e": Odd(1, 2)}
    for name, payload in (("value", encode(value)), ("fit", encode_function(fit, what="fit"))):
        open(f"{sys.argv[2]}/{name}", "wb").write(b"".join(payload.parts))
else:
    value = decode(memoryview(open(f"{sys.argv[2]}/back", "rb").read()))
    point, colour = value["r"]
    assert (type(point), point, colour) == (Point, Point(6), Colour.RED) or "classes differ between processes"
    print("read")
"""
WORKER = """
import sys
from pyflow.payload import decode, encode
value, fit = (decode(memoryview(open(f"{sys.argv[1]}/{name}", "rb").read())) for name in ("value", "fit"))
moved, colour = fit(value["p"])
assert type(moved) is type(value["p"]) is type(value["n"].b), "one class on this side"
assert colour is value["c"] and value["e"].args == (3,) and value["n"].a == 1
open(f"{sys.argv[1]}/back", "wb").write(b"".join(encode({"r": (moved, colour)}).parts))
print(moved.x)
"""


def test_functions_and_classes_of_main_work_in_another_process(tmp_path):
    """A script's functions, dataclasses, enums, named tuples and exceptions need no import elsewhere."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(*words: str) -> str:
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd="/").stdout

    run(str(script), "write", str(tmp_path))
    assert run("-c", WORKER, str(tmp_path)) == "6\n"
    assert run(str(script), "read", str(tmp_path)) == "read\n"


def test_a_large_capture_warns_with_its_name(tmp_path):
    """From 1 MiB on, the variable that makes most of it is named, with the place where it is assigned."""
    source = "table = bytes(3_000_000)\nsmall = b'x'\ndef helper(): return table\ndef fit(x): return helper(), small\n"
    file = tmp_path / "etl.py"
    file.write_text(source)
    names: dict = {"__name__": "__main__"}
    exec(compile(source, str(file), "exec"), names)
    with pytest.warns(LargeCaptureWarning) as caught:
        encode_function(names["fit"], what="task 'fit'")
    text = str(caught[0].message)
    assert "Task 'fit' is larger than 1 MiB" in text
    assert "helper() uses the global 'table' (etl.py:1), which makes 2.9 MiB of it" in text


def test_large_closures_and_defaults_warn_too():
    """So do variables of the function around it, default values, and what a partial holds."""
    big = bytes(2_000_000)

    def close():
        return big

    def default(x=big):
        return x

    for fn, part in (
        (close, "the variable 'big'"),
        (default, "default of its parameter 'x'"),
        (functools.partial(len, big), "larger than 1 MiB"),
    ):
        with pytest.warns(LargeCaptureWarning, match=part):
            encode_function(fn, what="task 'fn'")


def test_small_captures_and_values_do_not_warn():
    """Values may be large; functions below the limit are silent."""
    big = bytes(500_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_function(lambda: big, what="task 'fn'")
        encode(bytes(5_000_000))


def test_a_cached_function_travels_with_an_empty_cache():
    """``functools.lru_cache`` hides no function; one that calls itself finds its own cache."""

    @functools.lru_cache(maxsize=7)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    fib(5)
    copy = copy_of(lambda n: (fib(n), fib.cache_parameters()["maxsize"], fib.cache_info().misses))
    assert copy(60) == (1548008755920, 7, 61)


def test_a_function_that_dispatches_by_type_travels_with_its_others():
    """One whose functions call it finds itself, and what its author set on it; so does a method that dispatches."""

    @functools.singledispatch
    def total(value):
        """The sum of all numbers inside."""
        return 0

    total.unit = ["m"]
    total.register(int, lambda value: value)

    @total.register(list)
    @total.register(tuple)
    def _(value):
        return sum(map(total, value))

    class Scale:
        @functools.singledispatchmethod
        def name(self, value):
            return "any"

        @name.register
        def _(self, value: int):
            return "int"

    copy, scale = copy_of(total), copy_of(Scale)()
    assert copy is not total
    assert (copy([1, (2, "x"), 3]), copy.__doc__, copy.__name__, copy.unit) == (6, total.__doc__, "total", ["m"])
    assert copy.registry.keys() == total.registry.keys()
    assert (scale.name(1), scale.name("x")) == ("int", "any")


def test_a_cached_property_travels_with_its_class():
    """It keeps its value under its name, and its documentation."""
    names: dict = {"functools": functools, "__name__": "__main__"}
    source = """
class Shape:
    @functools.cached_property
    def area(self):
        "In square metres."
        return [4]
"""
    exec(source, names)
    shape = copy_of(names["Shape"]())
    assert shape.area is shape.area
    assert vars(shape) == {"area": [4]}
    assert type(shape).area.__doc__ == "In square metres."


def test_importing_payload_stays_light():
    """What seldom is needed is imported when it is needed."""
    code = "import sys, pyflow.payload; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert {"numpy", "pandas", "pyarrow", "tarfile", "tempfile", "asyncio"} & set(done.stdout.split()) == set()
