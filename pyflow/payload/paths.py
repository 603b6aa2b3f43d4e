"""Which paths inside a value stand for the files that lie there.

Those that are listed: items of lists, tuples, dicts and sets, fields of dataclasses and named tuples, at any
depth. A path among the attributes of another object is part of how that object works (the folder that a
data set reads from, say), and stays a plain value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

PATH_TYPE: Final = type(Path())
"""The concrete class; a subclass may mean anything, an address in the web for one, and is a plain value."""


def listed_paths(value: object) -> set[int]:
    """The ids of the paths that are listed in a value."""
    found: set[int] = set()
    seen: set[int] = set()
    left = [value]
    while left:
        item = left.pop()
        if type(item) is PATH_TYPE:
            found.add(id(item))
        elif id(item) not in seen:
            seen.add(id(item))
            left.extend(_items(item))
    return found


def _items(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return ()
