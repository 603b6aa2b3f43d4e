"""Values come back equal, of the same type, and one's own."""

from __future__ import annotations

import array
import collections
import ctypes
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import subprocess
import sys
import types
import uuid
import zoneinfo
from dataclasses import dataclass, field

import pytest

from pyflow.errors import NotSerializableError
from pyflow.payload import NOT_SMALL, decode, encode, encode_small, read_header


def round_trip(value: object) -> object:
    payload = encode(value)
    data = b"".join(payload.parts)
    assert len(data) == payload.size
    assert read_header(data).kind == payload.kind
    return decode(memoryview(bytearray(data)))


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: int
    more: list = field(default_factory=list)


Pair = collections.namedtuple("Pair", "a b")


class Text(str):
    __slots__ = ("note",)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "json"),
        (True, "json"),
        (0, "json"),
        (-(2**64), "json"),
        (10**4000, "pickle"),
        (-(10**20_000), "pickle"),
        (1.5, "json"),
        (-0.0, "json"),
        (math.inf, "pickle"),
        (-math.inf, "pickle"),
        (1 + 2j, "pickle"),
        ("", "text"),
        ("ü€𝄞\0\r\n", "text"),
        ("\ud800", "pickle"),
        ("\ud834\udd1e", "pickle"),
        ({"a": ["\ud834\udd1e"]}, "pickle"),
        ("x" * 3_000_000, "text"),
        (b"", "bytes"),
        (b"\0\xff", "bytes"),
        (bytearray(b"ab"), "pickle"),
        ([], "json"),
        ({}, "json"),
        ((), "pickle"),
        (set(), "pickle"),
        ([1, {"a": [None, "x", 2.5]}], "json"),
        ([(1,)], "pickle"),
        ([True, 1, 1.0], "json"),
        ({1: 2}, "pickle"),
        ({"a": 1, 2: 3}, "pickle"),
        ([10**1000], "pickle"),
        ([math.inf], "pickle"),
        (list(range(2000)), "pickle"),
        ({"b": 1, "a": 2}, "json"),
        (Text("x"), "pickle"),
        ({Text("x"): 1}, "pickle"),
        (Level.HIGH, "pickle"),
        (Colour.RED, "pickle"),
        (Point(1, [2]), "pickle"),
        (Pair(1, [2]), "pickle"),
        (decimal.Decimal("1.10"), "pickle"),
        (fractions.Fraction(1, 3), "pickle"),
        (dt.datetime(2024, 3, 31, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), "pickle"),
        (dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))), "pickle"),
        (dt.timedelta(microseconds=1), "pickle"),
        (uuid.UUID(int=5), "pickle"),
        (pathlib.PurePosixPath("/a/b"), "pickle"),
        (pathlib.PureWindowsPath("c:/a"), "pickle"),
        (collections.OrderedDict(b=1, a=2), "pickle"),
        (collections.Counter("abca"), "pickle"),
        (collections.deque([1, 2], maxlen=3), "pickle"),
        (frozenset({1, (2,)}), "pickle"),
        (range(3, 9, 2), "pickle"),
        (slice(1, None), "pickle"),
        (Ellipsis, "pickle"),
        (NotImplemented, "pickle"),
        (int, "pickle"),
        (types.SimpleNamespace(a=1), "pickle"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_equal_and_of_the_same_type(value, kind):
    """What comes back is equal, of the same type inside and out, in the format meant for it."""
    assert encode(value).kind == kind
    back = round_trip(value)
    assert type(back) is type(value)
    assert back == value
    if not isinstance(value, int) or value.bit_length() < 1000:
        try:
            assert repr(back) == repr(value)
        except ValueError:  # an int inside, longer than Python writes
            assert isinstance(value, list)


def test_nan_and_negative_zero_keep_their_bits():
    """NaN stays NaN, alone and inside, and -0.0 keeps its sign."""
    assert math.isnan(round_trip(math.nan))
    assert math.isnan(round_trip({"a": [math.nan]})["a"][0])
    assert math.copysign(1, round_trip([-0.0])[0]) == -1


def test_datetimes_keep_fold_and_zone():
    """A time in the hour that a clock repeats comes back as the same moment."""
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    value = dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zone)
    back = round_trip([value])[0]
    assert (back.fold, back.tzinfo.key, back.timestamp()) == (1, zone.key, value.timestamp())


def test_shared_references_stay_shared():
    """A list that is in two places is one list in two places afterwards."""
    shared = [1]
    back = round_trip([shared, shared])
    assert back[0] is back[1]


def test_cycles_come_back_as_cycles():
    """A list that holds itself, and a dict that does, are no problem."""
    loop: list = []
    loop.append(loop)
    back = round_trip(loop)
    assert back[0] is back
    circle: dict = {}
    circle["me"] = circle
    again = round_trip(circle)
    assert again["me"] is again


def test_moderate_nesting_works():
    """A list in a list, two hundred times, comes back."""
    value: list = []
    for _ in range(200):
        value = [value]
    assert round_trip(value) == value


def test_nesting_beyond_the_recursion_limit_is_one_clear_error():
    """A hundred thousand lists in each other cannot be stored, and the error says so."""
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotSerializableError, match="The result of task 'x' cannot be serialized: it is nested too"):
        encode(value, what="the result of task 'x'")
    as_dict: dict = {}
    for _ in range(100_000):
        as_dict = {"a": as_dict}
    with pytest.raises(NotSerializableError, match="nested too deeply"):
        encode(as_dict)


def test_a_raised_recursion_limit_crashes_nothing():
    """Someone who raised Python's limit for an algorithm gets the same error, and keeps their limit."""
    code = (
        "import sys; from pyflow.payload import encode; sys.setrecursionlimit(10**6)\n"
        "value = []\n"
        "for _ in range(200_000): value = [value]\n"
        "try: encode(value)\n"
        "except Exception as error: print(type(error).__name__, sys.getrecursionlimit(), flush=True)\n"
        "import os; os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "NotSerializableError 1000000\n"


class TwoWords(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")
        self.first = first


class ByKeyword(ValueError):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class NoSuper(Exception):
    def __init__(self, a: int, b: int) -> None:
        self.both = (a, b)


class OwnOsError(OSError):
    def __init__(self, host: str) -> None:
        super().__init__(111, "refused", host)
        self.host = host


class OwnDecodeError(UnicodeDecodeError):
    def __init__(self, text: bytes) -> None:
        super().__init__("ascii", text, 0, 1, "no")


class OwnNew(Exception):
    def __new__(cls, a: int, b: int) -> OwnNew:
        made = super().__new__(cls, a)
        made.b = b
        return made

    def __init__(self, *args: object) -> None:
        pass


class SaysHow(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("x")
        self.a, self.b = a, b

    def __reduce__(self) -> tuple:
        return SaysHow, (self.a, self.b)


class Slotted(Exception):
    __slots__ = ("__hidden", "code", "unset")

    def show(self) -> int:
        return self.__hidden


class SlottedToo(Slotted, ValueError):
    __slots__ = ("path",)

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code, self.path, self._Slotted__hidden = code, "p", code + 1


def slotted() -> Slotted:
    error = Slotted("x", 2)
    error.code, error.note, error._Slotted__hidden = 5, "a note", 6
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 2),
        KeyError("k"),
        FileNotFoundError(2, "No such file", "a.txt"),
        UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"),
        StopIteration(5),
        SystemExit(3),
        ImportError("m", name="n", path="p"),
        TwoWords("a", "b"),
        ByKeyword(code=4),
        NoSuper(1, 2),
        OwnOsError("h"),
        OwnDecodeError(b"\xff"),
        OwnNew(1, 2),
        SaysHow(1, 2),
        slotted(),
        SlottedToo(3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_come_back_whatever_their_constructor_takes(error):
    """An exception keeps its type, its args, its text and its attributes; its constructor is not called."""
    back = round_trip({"error": error})["error"]
    assert type(back) is type(error)
    assert (back.args, str(back), vars(back)) == (error.args, str(error), vars(error))
    for name in ("errno", "strerror", "filename", "name", "path", "value", "code", "start", "reason"):
        assert getattr(back, name, None) == getattr(error, name, None)
    if isinstance(error, Slotted):
        assert back.show() == error.show()
        assert not hasattr(back, "unset")


@pytest.mark.parametrize(
    ("value", "length"),
    [([1, 2], 2), ((), 0), ({"a": 1}, 1), ("abc", 3), (b"ab", 2), ({1}, 1), (range(4), 4), (5, None), (Point(1), None)],
)
def test_the_length_of_a_value_is_told(value, length):
    """A payload says how many items its value has, so that a map can be planned without loading it."""
    assert encode(value).length == length


def test_a_length_that_cannot_be_told_is_none():
    """An object whose ``__len__`` raises is stored all the same."""

    class Shy:
        def __len__(self):
            raise RuntimeError("no")

    assert encode(Shy()).length is None


@pytest.mark.parametrize("value", [None, True, 0, -5, 2**53 - 1, 1.5, "", "x" * 1024, "ü" * 512])
def test_small_values_stand_for_themselves(value):
    """What JSON keeps as it is, and is small, may stand in a reference."""
    assert encode_small(value) is value


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        math.nan,
        math.inf,
        "x" * 1025,
        "ü" * 513,
        "\ud800",
        [],
        {},
        b"",
        Text("x"),
        Level.HIGH,
        object(),
    ],
)
def test_other_values_are_not_small(value):
    """Everything else needs a payload of its own."""
    assert encode_small(value) is NOT_SMALL


def test_holes_are_filled_with_what_the_reader_brings():
    """A structure may leave places open, by number; who decodes it says what stands there."""

    class Placeholder:
        def __init__(self, number: int) -> None:
            self.number = number

    def number_of(thing: object) -> int | None:
        return thing.number if isinstance(thing, Placeholder) else None

    value = {"a": [Placeholder(1), (Placeholder(0),)], "b": Pair(Placeholder(1), 2)}
    data = memoryview(bytearray(b"".join(encode(value, holes=number_of).parts)))
    assert decode(data, fill=["zero", "one"]) == {"a": ["one", ("zero",)], "b": Pair("one", 2)}


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"abc"),
        memoryview(bytearray(b"xyz")),
        memoryview(b""),
        memoryview(b"abcdef")[::2],
        memoryview(array.array("d", [1.5, 2.5])),
        memoryview(bytearray(range(12))).cast("B", (3, 4)),
    ],
)
def test_a_memoryview_comes_back_as_one(view):
    """It has the same items, shape and format, over bytes of its own, which may be written to if they could before."""
    (back,) = round_trip([view])
    assert type(back) is memoryview
    assert back == view
    assert (back.shape, back.format, back.readonly) == (view.shape, view.format, view.readonly)


def test_a_memoryview_that_cannot_be_made_again_is_refused():
    """A format that no memoryview can be cast to is not silently turned into bytes."""
    with pytest.raises(NotSerializableError, match="memoryview"):
        round_trip(memoryview((ctypes.c_int32.__ctype_be__ * 2)()))
