"""Words of a command line become values, as annotations say."""

# Both spellings of a union are a user's.
# ruff: noqa: UP007, UP045

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import pytest

from pyflow.typed import Unfit, is_flag, parse, type_text


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Config:
    lr: float
    layers: tuple[int, ...] = ()


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Row(TypedDict):
    a: int


class Foreign:
    pass


Id = NewType("Id", int)
T = typing.TypeVar("T", bound=int)


@pytest.mark.parametrize(
    ("words", "hint", "value"),
    [
        (["3"], int, 3),
        (["-3"], int, -3),
        (["1e3"], float, 1000.0),
        (["3"], float, 3.0),
        (["inf"], float, math.inf),
        (["1+2j"], complex, 1 + 2j),
        (["yes"], bool, True),
        (["FALSE"], bool, False),
        (["3"], str, "3"),
        ([""], str, ""),
        (["[1]"], str, "[1]"),
        (["x"], bytes, b"x"),
        (["a/b"], Path, Path("a/b")),
        (["null"], Optional[int], None),
        (["3"], Optional[int], 3),
        (["3"], int | str, 3),
        (["x"], int | str, "x"),
        (["x"], str | int, "x"),
        (["3"], Union[str, float], 3.0),
        (["null"], str | None, None),
        (["a"], str | Path, "a"),
        (["a"], Path | str, Path("a")),
        (["1"], bool | int | None, 1),
        (["true"], bool | int | None, True),
        (["two"], Literal["one", "two", 3], "two"),
        (["3"], Literal["one", "two", 3], 3),
        (["RED"], Colour, Colour.RED),
        (["b"], Colour, Colour.BLUE),
        (["1", "2"], list[int], [1, 2]),
        (["[1, 2]"], list[int], [1, 2]),
        (["5"], list[int], [5]),
        (["a", "[b"], list[str], ["a", "[b"]),
        (['["a"]'], list[str], ["a"]),
        (["a"], list, ["a"]),
        (["1", "x"], list, [1, "x"]),
        (["0.1", "1"], tuple[float, ...], (0.1, 1.0)),
        (["3", "x"], tuple[int, str], (3, "x")),
        (['[3, "x"]'], tuple[int, str], (3, "x")),
        (["a", "a"], set[str], {"a"}),
        (["a"], Sequence[Path], [Path("a")]),
        (["1"], list[int] | None, [1]),
        (["null"], list[int] | None, None),
        (["[[1], [2, 3]]"], list[list[int]], [[1], [2, 3]]),
        (['["2026-01-31"]'], list[dt.date], [dt.date(2026, 1, 31)]),
        (['{"a": 1}'], dict[str, float], {"a": 1.0}),
        (["a=1", "b=2"], dict[str, int], {"a": 1, "b": 2}),
        (["a=1", "b=2"], dict[str, int] | None, {"a": 1, "b": 2}),
        (["1=x"], Mapping[int, str], {1: "x"}),
        (["a=[1]"], dict, {"a": [1]}),
        (["2026-01-31"], dt.date, dt.date(2026, 1, 31)),
        (["2026-01-31T10:00Z"], dt.datetime, dt.datetime(2026, 1, 31, 10, tzinfo=dt.timezone.utc)),
        (["10:30"], dt.time, dt.time(10, 30)),
        (["1h30m"], dt.timedelta, dt.timedelta(hours=1.5)),
        (["90"], dt.timedelta, dt.timedelta(seconds=90)),
        (["1.10"], decimal.Decimal, decimal.Decimal("1.10")),
        (['{"lr": 1, "layers": [1, 2]}'], Config, Config(1.0, (1, 2))),
        (["[1, 2]"], Point, Point(1, 2.0)),
        (['{"a": 1}'], Row, {"a": 1}),
        (["{}"], Any, {}),
        (["text"], Any, "text"),
        (["3"], Any, 3),
        (["3"], Annotated[int, "how many"], 3),
        (["3"], Id, 3),
        (["3"], T, 3),
        (["3"], "Unknown", 3),
    ],
)
def test_value(words, hint, value):
    """A word of each kind of type becomes a value of it."""
    found = parse(words, hint)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("words", "hint", "said"),
    [
        (["x"], int, "is not a whole number"),
        (["1.5"], int, "is not a whole number"),
        (["x"], float, "is not a number"),
        (["maybe"], bool, "is neither true nor false"),
        (["x"], Literal["a", 1], "is none of a, 1"),
        (["x"], Colour, "is none of RED, BLUE, r, b"),
        (["1", "x"], list[int], "has item 1, 'x' for int, which is not a whole number"),
        (['[1, "x"]'], list[int], "has item 1, '\"x\"' for int, which is not of type int"),
        (["[true]"], list[int], "has item 0, 'true' for int, which is not of type int"),
        (["1"], tuple[int, int], "has 1 items and must have 2"),
        (["a"], dict[str, int], "is neither JSON nor key=value (dict[str, int])"),
        (["a=x"], dict[str, int], "has 'a': 'x', which is not a whole number"),
        (["[1]"], dict[str, int], "is neither JSON nor key=value (dict[str, int])"),
        (["soon"], dt.date, "is not one (an example: 2026-01-31)"),
        (["soon"], dt.timedelta, "is not a duration (an example: 30m)"),
        (["{}"], Config, "does not fit: Config.__init__() missing 1 required positional argument: 'lr'"),
        (['{"lr": "x"}'], Config, "has lr='x', which is not of type float"),
        (["1", "2"], int, "are 2 values where it takes one"),
        (["x"], int | None, "is not a whole number"),
        (["soon"], dt.date | None, "is not one (an example: 2026-01-31)"),
        (["x"], int | float, "fits none of these"),
        (["x"], list[int], "is not a whole number"),
        (["x"], Foreign, "is not JSON"),
        (["3"], Foreign, "is not of type Foreign"),
        (["{}"], Row, "has no 'a'; the keys of Row are a"),
        (['{"a": 1, "b": 2}'], Row, "has 'b'; the keys of Row are a"),
        (['{"a": "x"}'], Row, "has a='x', which is not of type int"),
        (["[1]"], Row, "is not of type Row"),
    ],
)
def test_wrong_value(words, hint, said):
    """A word that is no value of the type is refused with what is wrong with it."""
    with pytest.raises(Unfit) as info:
        parse(words, hint)
    assert str(info.value) == said


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (Any, "JSON or text"),
        (int | None, "int | null"),
        (Literal["a", 1], "a|1"),
        (Colour, "RED|BLUE"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Annotated[Path, "x"], "Path"),
    ],
)
def test_type_text(hint, text):
    """Types are written as a person would."""
    assert type_text(hint) == text


def test_flags():
    """A parameter that is true, false or null is a flag; one that may also be something else is not."""
    assert [is_flag(hint) for hint in (bool, bool | None, bool | int, int)] == [True, True, False, False]
