"""What the annotation of a parameter says of its values: one or many, a flag or not, and how a person would write it."""

from __future__ import annotations

import collections.abc
import enum
import json
import types
import typing
from collections.abc import Callable
from typing import Any, Final, Literal, Union, get_args, get_origin

SEQUENCES: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list, set: set, frozenset: frozenset, tuple: tuple, collections.abc.Sequence: list,
    collections.abc.MutableSequence: list, collections.abc.Iterable: list, collections.abc.Collection: list,
    collections.abc.Set: set, collections.abc.MutableSet: set,
}  # fmt: skip
"""What is made of a list, by what the annotation names."""
_MAPPINGS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def type_text(hint: Any) -> str:
    """A type as a person would write it."""
    hint = plain(hint)
    if hint is Any or hint is object:
        return "JSON or text"
    if hint is None or hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return "|".join(word_of(choice) for choice in get_args(hint))
    if is_union(hint):
        return " | ".join(type_text(member) for member in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return "|".join(hint.__members__)
    if get_origin(hint) is not None:
        name = getattr(get_origin(hint), "__name__", str(get_origin(hint)))
        inner = ", ".join("..." if arg is ... else type_text(arg) for arg in get_args(hint))
        return f"{name}[{inner}]"
    return getattr(hint, "__name__", None) or str(hint)


def plain(hint: Any) -> Any:
    """The type without what says nothing about a value: ``Annotated``, ``NewType``, ``Final``, names of types."""
    while True:
        if hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif get_origin(hint) in {typing.Annotated, typing.Final, typing.ClassVar}:
            hint = get_args(hint)[0]
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif isinstance(hint, typing.TypeVar):
            hint = hint.__bound__ or Any
        elif isinstance(hint, (str, typing.ForwardRef)):
            return Any
        else:
            return hint


def is_flag(hint: Any) -> bool:
    """Whether a parameter is given as ``--name`` or ``--no-name``."""
    hint = plain(hint)
    members = [plain(m) for m in get_args(hint) if m is not type(None)] if is_union(hint) else [hint]
    return members == [bool]


def takes_many(hint: Any) -> bool:
    """Whether a parameter may be given several times."""
    hint = plain(hint)
    return sequence_of(hint) is not None or mapping_of(hint) is not None


def allows_none(hint: Any) -> bool:
    """Whether None is a value of the type."""
    return hint is None or hint is type(None) or (is_union(hint) and any(allows_none(m) for m in get_args(hint)))


def sequence_of(hint: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """The class to make of a list, and the types of its items; None for a type that is no list."""
    if is_union(hint):
        found = [sequence_of(plain(member)) for member in get_args(hint) if not allows_none(member)]
        return found[0] if len(found) == 1 else None
    origin = get_origin(hint) or hint
    try:
        return (origin, get_args(hint)) if origin in SEQUENCES else None
    except TypeError:
        return None


def mapping_of(hint: Any) -> tuple[Any, Any] | None:
    """The types of keys and values; None for a type that is no mapping."""
    if is_union(hint):
        found = [mapping_of(plain(member)) for member in get_args(hint) if not allows_none(member)]
        return found[0] if len(found) == 1 else None
    origin = get_origin(hint) or hint
    if not any(origin is kind for kind in _MAPPINGS):
        return None
    key, value = get_args(hint) or (Any, Any)
    return key, value


def is_union(hint: Any) -> bool:
    """Whether values may be of several types."""
    return get_origin(hint) is Union or isinstance(hint, types.UnionType)


def word_of(choice: object) -> str:
    """How a choice is written on a command line."""
    if isinstance(choice, enum.Enum):
        return choice.name
    return choice if isinstance(choice, str) else json.dumps(choice, default=str)
