"""Classes that travel by value are the same here as before, whatever comes back."""

from __future__ import annotations

import enum
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from pyflow.payload import classes, decode, encode, own_code


def sent(value: object) -> memoryview:
    return memoryview(bytearray(b"".join(encode(value).parts)))


def by_value(name: str, namespace: dict[str, object], *bases: type) -> type:
    return type(bases[0] if bases else object)(name, bases, {**namespace, "__module__": "__main__"})


def test_a_result_changes_nothing_of_its_class_here():
    """What comes back is of the class of here, with the methods and attributes that this has by now."""

    def method(self):
        return "now"

    cls = by_value("Config", {"mode": "sent", "seen": [], "say": method})
    data = sent(cls())
    cls.mode, cls.later = "changed", 1
    seen = cls.seen
    found = decode(data)
    assert type(found) is cls
    assert (cls.mode, cls.later, cls.seen is seen, vars(cls)["say"] is method) == ("changed", 1, True, True)
    assert found.say() == "now"


def test_a_block_has_classes_as_they_were_sent():
    """For a task classes are as they were sent, whichever object of them came first; then they are as before."""
    cls = by_value("Config", {"mode": "sent", "seen": []})
    first = sent(cls())
    cls.mode = "later"
    second = sent(cls())
    cls.extra, seen = True, cls.seen
    before = dict(vars(cls))
    for _ in range(2):
        with own_code():
            decode(first)
            assert (cls.mode, cls.seen) == ("sent", [])
            decode(second)
            assert cls.mode == "sent"
            cls.seen.append(1)
            cls.mode, cls.added = "by the task", 2
            del cls.extra
        assert dict(vars(cls)) == before
        assert cls.seen is seen
        assert not seen


def test_blocks_may_lie_in_each_other():
    """A run inside of a task gives back what the task had."""
    cls = by_value("Config", {"mode": "sent"})
    data = sent(cls())
    with own_code():
        decode(data)
        cls.mode = "outer"
        with own_code():
            decode(data)
            assert cls.mode == "sent"
        assert cls.mode == "outer"
    assert cls.mode == "sent"


def test_kinds_of_classes_come_back_as_they_were():
    """Enums, abstract classes and those with slots are put back, too."""

    class Color(enum.Enum):
        RED = 1

    class Base(ABC):
        @abstractmethod
        def f(self): ...

    class Child(Base):
        __slots__ = ("x",)

        def f(self):
            return Base, self.x

    child = Child()
    child.x = 4
    data = sent([Color.RED, child])
    before = [dict(vars(cls)) for cls in (Color, Base, Child)]
    with own_code():
        color, other = decode(data)
        assert (color is Color.RED, other.f()) == (True, (Base, 4))
        Color.note = "a note"
        Base.added = 1
    assert [dict(vars(cls)) for cls in (Color, Base, Child)] == before


NEW = """
import sys
from pyflow.payload import own_code, decode
data = open(sys.argv[1], "rb").read()
with own_code():
    first = decode(memoryview(bytearray(data)))
    cls = type(first)
    print(first.mode, cls.seen)
    cls.mode, cls.added = "changed", 1
    cls.seen.append(1)
with own_code():
    again = decode(memoryview(bytearray(data)))
    print(type(again) is cls, again.mode, cls.seen, hasattr(cls, "added"))
"""


def test_a_class_that_is_new_here_is_as_sent_for_each_task(tmp_path: Path):
    """A worker, which has never seen a class, makes it once and has it as it was sent for each task."""
    (tmp_path / "payload").write_bytes(sent(by_value("Config", {"mode": "sent", "seen": []})()))
    done = subprocess.run(
        [sys.executable, "-c", NEW, str(tmp_path / "payload")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["sent []", "True sent [] False"]


def test_a_class_that_cannot_be_filled_is_tried_again():
    """An error on the way leaves no class half made for good."""
    cls = by_value("Half", {})
    outcomes = iter([ValueError("first"), None])

    def setter(_cls: type, _state: object) -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    state = "its name", setter, ({}, None)
    with pytest.raises(ValueError, match="first"):
        classes.fill(cls, state)
    classes.fill(cls, state)
    classes.fill(cls, state)  # it is filled, so nobody is asked
    assert next(outcomes, "none left") == "none left"


REGISTERING = """
class Base:
    registry = {}

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        Base.registry[cls.__name__] = cls

class Child(Base):
    def go(self):
        return "went"
"""


def test_a_class_that_is_found_is_not_made_again():
    """What a base does with each new class is not done with one that nobody keeps."""
    script = {"__name__": "__main__"}
    exec(REGISTERING, script)
    data = sent(script["Child"]())
    with own_code():
        assert decode(data).go() == "went"
    assert decode(data).go() == "went"
    assert script["Base"].registry["Child"] is script["Child"]
    assert script["Base"].__subclasses__() == [script["Child"]]


def test_a_metaclass_that_forbids_is_not_asked():
    """A class whose attributes can be set once is as it was sent in each block."""

    class Const(type):
        def __setattr__(cls, name, value):
            if name in vars(cls):
                raise AttributeError(f"cannot rebind {name}")
            super().__setattr__(name, value)

    cls = Const("Settings", (), {"__module__": "__main__", "mode": "fast"})
    data = sent(cls())
    for _ in range(2):
        with own_code():
            assert decode(data).mode == "fast"
    assert cls.mode == "fast"
