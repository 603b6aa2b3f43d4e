"""The way from a value to a part of it, as its author would write it: ``data['conn'].lock``.

A walk from part to part, breadth first and bounded, by what can be looked at without running code of the
value's own: items, attributes and slots, and of functions that travel by value the globals they use, the
variables they close over and their defaults.
"""

from __future__ import annotations

import dis
import gc
import itertools
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import CodeType, FrameType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final, Literal, NamedTuple

from pyflow.payload.references import place_of

_MAX_PARTS: Final = 100_000
_MAX_KEY: Final = 40
# From these one gets anywhere in the process, and none of it is a part of the value.
_WALLS: Final = (ModuleType, FrameType, CodeType, GetSetDescriptorType, MemberDescriptorType)
_LEAVES: Final = (str, bytes, bytearray, int, float, complex, type(None), range)
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


class Step(NamedTuple):
    """One step from a thing to a part of it."""

    how: Literal["item", "attribute", "global", "closure", "default", "inside"]
    name: str
    """The text after the thing, ``['conn']`` or ``.lock``; or the name of the variable or parameter."""


class Trail(NamedTuple):
    """A part of a value, and the steps that lead there: each with the thing it starts from."""

    part: object
    steps: tuple[tuple[object, Step], ...]


def trails_to(value: object, wanted: set[int]) -> dict[int, Trail]:
    """The shortest trails to the parts that have one of these ids, as far as the walk finds them."""
    came: dict[int, tuple[object, Step, int] | None] = {id(value): None}
    left: deque[object] = deque([value])
    # What is listed on the way may be made for the occasion; kept, so that no id is used twice.
    kept: list[object] = []
    found: dict[int, Trail] = {}
    while left and len(came) < _MAX_PARTS:
        thing = left.popleft()
        if id(thing) in wanted:
            found[id(thing)] = Trail(thing, _steps(thing, came))
        for step, part in parts_of(thing):
            if id(part) not in came:
                came[id(part)] = (thing, step, id(thing))
                kept.append(part)
                left.append(part)
    return found


def captures_of(fn: FunctionType) -> Iterator[tuple[Step, object]]:
    """What a function that travels by value brings along: globals it uses, variables, defaults."""
    for name in _global_names(fn.__code__):
        if name in fn.__globals__:
            yield Step("global", name), fn.__globals__[name]
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
        try:
            yield Step("closure", name), cell.cell_contents
        except ValueError:  # a variable that has no value yet
            continue
    defaults = fn.__defaults__ or ()
    positional = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    for name, default in zip(positional[len(positional) - len(defaults) :], defaults, strict=False):
        yield Step("default", name), default
    for name, default in (fn.__kwdefaults__ or {}).items():
        yield Step("default", name), default


def parts_of(thing: object) -> Iterator[tuple[Step, object]]:
    """The parts of a thing that pickling it would meet, each with the step that leads there."""
    if isinstance(thing, (*_LEAVES, *_WALLS)):
        return
    if isinstance(thing, FunctionType):
        if place_of(thing) is None:
            yield from captures_of(thing)
            yield from _attributes(thing)
    elif isinstance(thing, type):
        if place_of(thing) is None:
            yield from ((Step("attribute", f".{name}"), part) for name, part in list(vars(thing).items()))
    else:
        yield from _items(thing)
        yield from _attributes(thing)
        yield from _hidden(thing)


def _steps(thing: object, came: dict[int, tuple[object, Step, int] | None]) -> tuple[tuple[object, Step], ...]:
    steps: list[tuple[object, Step]] = []
    at = came[id(thing)]
    while at is not None:
        steps.append(at[:2])
        at = came[at[2]]
    return tuple(reversed(steps))


def _items(thing: object) -> Iterator[tuple[Step, object]]:
    if isinstance(thing, dict):
        for key, item in list(thing.items()):
            yield Step("item", f"[{spell_key(key)}]"), item
            yield Step("inside", ""), key
    elif isinstance(thing, tuple) and hasattr(type(thing), "_fields"):
        names = getattr(type(thing), "_fields", ())
        yield from ((Step("attribute", f".{name}"), item) for name, item in zip(names, thing, strict=False))
    elif isinstance(thing, (list, tuple, deque)):
        yield from ((Step("item", f"[{i}]"), item) for i, item in enumerate(list(thing)))
    elif isinstance(thing, (set, frozenset)):
        yield from ((Step("inside", ""), item) for item in list(thing))
    elif _is_from("numpy", "ndarray", thing):
        yield from _objects_in_array(thing)
    elif _is_from("pandas", "DataFrame", thing):
        frame: Any = thing
        yield from ((Step("item", f"[{spell_key(name)}]"), column.to_numpy()) for name, column in frame.items())


def _objects_in_array(array: Any) -> Iterator[tuple[Step, object]]:
    if array.dtype.hasobject and not array.dtype.names:
        places = itertools.product(*map(range, array.shape))
        for place, item in zip(places, array.flat, strict=True):
            yield Step("item", f"[{', '.join(map(str, place))}]"), item


def _is_from(library: str, name: str, thing: object) -> bool:
    kind = type(thing)
    return kind.__name__ == name and kind.__module__.partition(".")[0] == library


def _attributes(thing: object) -> Iterator[tuple[Step, object]]:
    try:
        attributes = object.__getattribute__(thing, "__dict__")
    except (AttributeError, TypeError):
        attributes = {}
    if isinstance(attributes, dict):
        yield from ((Step("attribute", f".{name}"), part) for name, part in list(attributes.items()))
    for base in type(thing).__mro__:
        for name, slot in list(vars(base).items()):
            if type(slot) is MemberDescriptorType and base.__module__ != "builtins":
                try:
                    yield Step("attribute", f".{name}"), slot.__get__(thing, base)
                except AttributeError:  # a slot that was never set
                    continue


def _hidden(thing: object) -> Iterator[tuple[Step, object]]:
    """Parts that no plain expression shows, or that the type keeps in C."""
    if isinstance(thing, MethodType):
        yield Step("attribute", ".__self__"), thing.__self__
        yield Step("inside", ""), thing.__func__
    elif isinstance(thing, partial):
        yield Step("attribute", ".func"), thing.func
        yield Step("attribute", ".args"), thing.args
        yield Step("attribute", ".keywords"), thing.keywords
    elif isinstance(thing, (staticmethod, classmethod)):
        yield Step("inside", ""), thing.__func__
    elif type(thing) not in _CONTAINERS:
        for part in gc.get_referents(thing):
            # A class that travels by value brings its methods along.
            if not isinstance(part, _WALLS) and not (isinstance(part, type) and place_of(part) is not None):
                yield Step("inside", ""), part


def _global_names(code: CodeType) -> list[str]:
    names = [each.argval for each in dis.get_instructions(code) if each.opname in {"LOAD_GLOBAL", "LOAD_NAME"}]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.extend(_global_names(constant))
    return list(dict.fromkeys(names))


def spell_key(key: object) -> str:
    """A key as it is written, where that is short and runs no code of the user's."""
    if isinstance(key, (str, bytes, int, float, type(None))) and type(key).__module__ == "builtins":
        text = "…" if isinstance(key, int) and key.bit_length() > 100 else repr(key)
        return text if len(text) <= _MAX_KEY else f"{text[:_MAX_KEY]}…"
    return f"<{type(key).__qualname__}>"
