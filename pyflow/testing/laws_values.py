"""What executors owe to values: what goes into a task, and comes out of it, is equal to what was given."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import pathlib
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from pyflow.api import pipeline
from pyflow.late import late
from pyflow.testing.claims import alike, holds, same, short
from pyflow.testing.stage import Stage
from pyflow.tracing import task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
else:
    np = late("numpy")
    pd = late("pandas")


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclass(frozen=True)
class Frozen:
    a: int
    b: tuple[int, ...] = ()


@dataclass
class Node:
    name: str
    children: list[Node] = field(default_factory=list)
    parent: Any = field(default=None, repr=False, compare=False)


class OddError(Exception):
    """Python cannot rebuild it from its arguments."""

    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"code {code}")
        self.code, self.detail = code, detail


@task
def echo(value: Any) -> Any:
    return value


@pipeline
def through(value: Any, items: list[Any]) -> Any:
    """Each value as a constant, as an item, and from task to task."""
    return echo(echo(value)), echo.map(echo.map(items))


def plain_values_come_back_equal(stage: Stage) -> None:
    """Numbers, text and bytes come back equal: NaN, infinities, minus zero, huge integers, lone surrogates, nothing."""
    _travel(
        stage,
        [
            None, True, False, 0, -1, 2**63, -(10**400), 0.1, -0.0, float("nan"), float("inf"), float("-inf"), 1e-320,
            3 + 4j, "", "é\n\t\0", "\udc80", "\U0001f600" * 100, b"", bytes(range(256)), bytearray(b"ab"), "x" * 100_000,
            ..., NotImplemented, range(1, 10, 3), slice(1, None), int, Color, len,
        ],
    )  # fmt: skip


def values_of_the_library_come_back_equal(stage: Stage) -> None:
    """Times with their zones, decimals, fractions, ids, paths that are text, enums, sets and other containers."""
    zone = dt.timezone(dt.timedelta(minutes=-7), "odd")
    _travel(
        stage,
        [
            decimal.Decimal("1.10"), decimal.Decimal("NaN").copy_sign(decimal.Decimal(-1)).is_nan(), fractions.Fraction(1, 3),
            uuid.UUID(int=5), dt.date(2026, 2, 28), dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=zone),
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), dt.time(1, 2, fold=1), dt.timedelta(days=-1, microseconds=1),
            Color.RED, Color.BLUE, Flags.A | Flags.B, pathlib.PurePosixPath("a/b"),
            {1, 2}, frozenset({(1, 2)}), deque([1, 2], maxlen=5), Counter("aab"), OrderedDict(b=1, a=2),
            defaultdict(list, {"a": [1]}), {1: "int key", None: 0, (1, 2): {}, "1": "text key"},
        ],
    )  # fmt: skip


def objects_come_back_equal(stage: Stage) -> None:
    """Dataclasses, named tuples and exceptions with unusual constructors come back as what they were."""
    odd = OddError(5, detail="d")
    odd.extra = [1]  # type: ignore[attr-defined]
    _travel(
        stage,
        [
            Point(1, [Point(2)]), Frozen(1, (2, 3)), Node("a", [Node("b")]), odd, ValueError("a", 1), OSError(2, "no", "f"),
            KeyError(), [Frozen(1), Color.RED], (), [], {}, [[]], ({},), "", b"",
        ],
    )  # fmt: skip


def deep_and_tangled_values_come_back_equal(stage: Stage) -> None:
    """Deep nesting, cycles and shared references inside of one value keep their shape."""
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep, {"k": deep}] if len(deep) < 1 else [deep]
    cycle: list[Any] = [1]
    cycle.append(cycle)
    parent = Node("parent")
    parent.children.append(Node("child", parent=parent))
    shared = [0]

    @task
    def check(cycle: Any, parent: Any, shared: Any) -> Any:
        return cycle[1] is cycle, parent.children[0].parent is parent, shared[0] is shared[1]["again"]

    @pipeline
    def tangled() -> Any:
        return check(echo(cycle), echo(parent), echo([shared, {"again": shared}])), check(
            cycle, parent, [shared, {"again": shared}]
        )

    _travel(stage, [deep])
    same(stage.run(tangled)[0], (True, True, True), "what the task saw of results")
    same(stage.run(tangled)[1][:2], (True, True), "what the task saw of constants")


def large_values_come_back_equal(stage: Stage) -> None:
    """Text and bytes of many megabytes, and lists of many items, come back whole."""
    _travel(stage, ["ab\n" * 5_000_000, bytes(20_000_000), list(range(100_000)), {str(i): i for i in range(20_000)}])


def arrays_come_back_equal(stage: Stage) -> None:
    """Arrays keep type, shape and bytes: without dimensions, strided, structured, of objects, of times, and large."""
    if find_spec("numpy") is None:
        return

    grid = np.arange(24).reshape(2, 3, 4)
    structured = np.array([(1, 2.5, "a")], dtype=[("i", "<i4"), ("f", ">f8"), ("s", "U3")])
    _travel(
        stage,
        [
            np.array(5), np.float32(1.5), np.array([]), np.zeros((0, 3)), grid, grid[:, ::2, ::-1], grid.T, structured,
            np.asfortranarray(grid), np.array([1, None, {"a": 1}], dtype=object), np.array(["2026-01-01"], dtype="M8[D]"),
            np.array([True, False]), np.array(["é", "abc"]), np.array([np.nan, -0.0]), np.arange(2_000_000, dtype="f8"),
            {"a": grid, "b": [grid]}, np.ma.masked_array([1, 2], mask=[True, False]).data, np.dtype("i4"), np.int64,
        ],
    )  # fmt: skip


def arrays_can_be_written_to(stage: Stage) -> None:
    """A large array is the task's own: writing to it works, and nobody else sees it."""
    if find_spec("numpy") is None:
        return

    @task
    def spoil(array: Any) -> float:
        before = float(array.sum())
        array += 1
        return before

    @pipeline(order="calls")
    def spoiling(given: Any) -> Any:
        made = echo(given)
        return spoil(made), spoil(made), spoil(given), spoil(given), made

    given = np.ones(1_000_000)
    *sums, last = stage.run(spoiling, given)
    same(sums, [1e6] * 4, "what each task saw")
    holds(bool((last == 1).all()) and bool((given == 1).all()), "the result and the caller's array are as they were")
    last += 1


def frames_come_back_equal(stage: Stage) -> None:
    """Data frames, series and indices of pandas come back equal, with their types and zones."""
    if find_spec("pandas") is None:
        return

    frame = pd.DataFrame(
        {"i": [1, 2], "t": pd.to_datetime(["2026-01-01", None]).tz_localize("UTC"), "s": ["a", None]}, index=["x", "y"]
    )
    many = pd.DataFrame({"c": pd.Categorical(["a", "b"]), ("m", 1): [1.5, None]})
    _travel(stage, [frame, many, frame["i"], pd.DataFrame(), frame.index, pd.Series([1, 2], dtype="Int64", name="n")])


_SCRIPT = """
import enum, functools, json
from collections import namedtuple
from dataclasses import dataclass
from pyflow import each, pipeline, task

LIMIT = 3
Pair = namedtuple("Pair", "a b")

class Kind(enum.Enum):
    ODD = 1
    EVEN = 2

@dataclass
class Item:
    value: int
    kind: Kind = Kind.ODD

    @property
    def double(self):
        return helper(self.value)

    @functools.cached_property
    def triple(self):
        "Three times the value."
        return 3 * self.value

class Custom(Exception):
    def __init__(self, item, *, why):
        super().__init__(why)
        self.item = item

def helper(x):
    return min(inner(x), LIMIT * 100)

def inner(x):
    return 2 * x

@functools.lru_cache
def cached(x):
    return x + 1

@functools.singledispatch
def total(x):
    return x

@total.register
def _(x: list):
    return sum(total(y) for y in x)

@total.register
def _(x: Item):
    return x.triple

@task
def make(x):
    return Item(x, Kind.EVEN if x % 2 == 0 else Kind.ODD)

@task
def use(item, pair):
    assert isinstance(item, Item) and isinstance(pair, Pair) and type(item.kind) is Kind, type(item)
    return item.double, item.kind is Kind.EVEN, pair

@task
def fail(item):
    raise Custom(item, why="because")

@pipeline
def flow(xs):
    items = make.map(xs)
    return items, use.map(items, pair=each([Pair(1, x) for x in xs]))

@pipeline
def failing(x):
    return fail(make(x))

@pipeline
def caching(x):
    return task(cached)(x), task(lambda y: cached(y))(x)

@pipeline
def dispatching(x):
    return task(total)([x, make(x)]), task(lambda y: total([[y]]))(x)

if __name__ == "__main__":
    items, used = flow([1, 2])
    same_class = [type(i) is Item and i.kind in (Kind.ODD, Kind.EVEN) for i in items]
    try:
        failing(2)
    except Custom as error:
        caught = [error.item == Item(2, Kind.EVEN), str(error)]
    print(json.dumps([same_class, [[u[0], u[1], list(u[2])] for u in used], caught, list(caching(1)), list(dispatching(1))]))
"""


def classes_of_scripts_travel(stage: Stage) -> None:
    """Classes and functions of ``__main__`` travel by value, with the names they use, and stay the same class at home."""
    found = stage.script(_SCRIPT)
    same(
        found,
        [[True, True], [[2, False, [1, 1]], [4, True, [1, 2]]], [True, "because"], [2, 2], [4, 1]],
        "what the script found",
    )


def local_modules_travel(stage: Stage) -> None:
    """Functions of the author's modules run where those are not installed; their classes stay the same class."""
    source = """
import functools
from dataclasses import dataclass
from pyflow import pipeline, task

@dataclass
class Item:
    value: int

@functools.lru_cache
def cached(x):
    return x + 1

@task
def make(x):
    return Item(cached(x))

@task
def use(item):
    return type(item) is Item, item.value

@pipeline
def flow(x):
    item = make(x)
    return item, use(item), task(cached)(x)
"""
    with stage.module(source) as module:
        item, used, cached = stage.run(module.flow, 1)
        same((used, cached), ((True, 2), 2), "what the tasks found")
        holds(type(item) is module.Item, "the class is the caller's")


def _travel(stage: Stage, values: list[Any]) -> None:
    whole, items = stage.run(through, values, values)
    for given, first, second in zip(values, whole, items, strict=True):
        for found in (first, second):
            if not alike(given, found):
                raise AssertionError(f"expected {type(given)} {short(given)}, found {type(found)} {short(found)}")


LAWS = (
    plain_values_come_back_equal,
    values_of_the_library_come_back_equal,
    objects_come_back_equal,
    deep_and_tangled_values_come_back_equal,
    large_values_come_back_equal,
    arrays_come_back_equal,
    arrays_can_be_written_to,
    frames_come_back_equal,
    classes_of_scripts_travel,
    local_modules_travel,
)
