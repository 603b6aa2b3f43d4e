"""Words of a command line → values, as a parameter's annotation says.

Each kind of type has one function from text to a value, and one for what JSON gives. Where no
annotation says otherwise, JSON is taken as JSON and everything else as text.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from pyflow.errors import DefinitionError
from pyflow.graph import seconds

TRUE: Final = ("true", "yes", "on", "1")
FALSE: Final = ("false", "no", "off", "0")

_LISTS: Final[dict[Any, Callable[[list[Any]], Any]]] = {
    list: list, set: set, frozenset: frozenset, tuple: tuple, collections.abc.Sequence: list,
    collections.abc.MutableSequence: list, collections.abc.Iterable: list, collections.abc.Collection: list,
    collections.abc.Set: set, collections.abc.MutableSet: set,
}  # fmt: skip
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_BY_TEXT: Final[tuple[type, ...]] = (decimal.Decimal, fractions.Fraction, uuid.UUID, complex)
_DATES: Final[dict[type, str]] = {
    dt.datetime: "2026-01-31T12:00", dt.date: "2026-01-31", dt.time: "12:00",
}  # fmt: skip
# Which member of a union is asked first: what takes any text comes last.
_LATE: Final[dict[Any, int]] = {str: 8, pathlib.Path: 8, bytes: 8, Any: 9, object: 9}


class Unfit(Exception):  # noqa: N818  it never leaves this package: it becomes a usage error
    """A word is not a value of the type; the message says what would be."""


def parse(words: Sequence[str], hint: Any) -> Any:
    """The value of a parameter that was given once, or several times.

    Args:
        words: What stood behind the parameter's name, each time.
        hint: Its type, as ``typing.get_type_hints`` gives it; ``Any`` for none.

    Raises:
        Unfit: The words are no value of that type.
    """
    hint = plain(hint)
    sequence = _sequence_of(hint)
    if sequence is not None and (len(words) > 1 or not _is_json(words[0], "[")):
        if len(words) == 1 and allows_none(hint) and words[0] == "null":
            return None
        return _collect([_From(word) for word in words], sequence)
    if len(words) > 1 and _mapping_of(hint) is not None:
        return _convert({k: v for word in words for k, v in _pairs(word, hint).items()}, hint)
    if len(words) > 1:
        raise Unfit(f"was given {len(words)} times and takes one value")
    return _from_text(words[0], hint)


def type_text(hint: Any) -> str:
    """A type as a person would write it."""
    hint = plain(hint)
    if hint is Any or hint is object:
        return "JSON or text"
    if hint is None or hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return "|".join(_word_of(choice) for choice in get_args(hint))
    if _is_union(hint):
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
    members = [plain(m) for m in get_args(hint) if m is not type(None)] if _is_union(hint) else [hint]
    return members == [bool]


def takes_many(hint: Any) -> bool:
    """Whether a parameter may be given several times."""
    hint = plain(hint)
    return _sequence_of(hint) is not None or _mapping_of(hint) is not None


def allows_none(hint: Any) -> bool:
    """Whether None is a value of the type."""
    return hint is None or hint is type(None) or (_is_union(hint) and any(allows_none(m) for m in get_args(hint)))


class _From(str):
    """A word of the command line inside of a list, as against a text that JSON gave."""

    __slots__ = ()


def _from_text(text: str, hint: Any) -> Any:  # noqa: C901, PLR0911  a line for each kind of type
    hint = plain(hint)
    if _is_union(hint):
        return _first(text, hint, _from_text)
    if hint is Any or hint is object:
        return _json_or_text(text)
    if hint is str:
        return str(text)
    if hint is bytes:
        return text.encode()
    if allows_none(hint):
        if text != "null":
            raise Unfit("is not null")
        return None
    if hint is bool:
        return _flag(text)
    if get_origin(hint) is Literal:
        return _choice(text, [(choice, _word_of(choice)) for choice in get_args(hint)])
    if isinstance(hint, type):
        found = _from_text_by_class(text, hint)
        if found is not _NOTHING:
            return found
    if _mapping_of(hint) is not None and not _is_json(text, "{"):
        return _convert(_pairs(text, hint), hint)
    return _convert(_json(text), hint)


_NOTHING: Final = object()


def _from_text_by_class(text: str, hint: type) -> Any:
    if issubclass(hint, enum.Enum):
        members = hint.__members__
        return _choice(
            text, [*((m, name) for name, m in members.items()), *((m, str(m.value)) for m in members.values())]
        )
    if hint in {int, float}:
        return _number(text, hint)
    if issubclass(hint, pathlib.PurePath):
        return hint(text)
    if hint is dt.timedelta:
        return _timedelta(text)
    if hint in _DATES:
        try:
            # Before Python 3.11 a Z at the end is not understood.
            return hint.fromisoformat(text.replace("Z", "+00:00") if text.endswith("Z") else text)  # type: ignore[attr-defined]
        except ValueError as error:
            raise Unfit(f"is not one (an example: {_DATES[hint]})") from error
    if hint in _BY_TEXT:
        try:
            return cast("Callable[[str], Any]", hint)(text)
        except (ValueError, ArithmeticError) as error:
            raise Unfit("is not one") from error
    return _NOTHING


def _convert(value: Any, hint: Any) -> Any:  # noqa: C901, PLR0911  a line for each kind of type
    """What JSON gave, as a value of the type."""
    hint = plain(hint)
    if isinstance(value, _From):
        return _from_text(str(value), hint)
    if hint is Any or hint is object:
        return value
    if _is_union(hint):
        return _first(value, hint, _convert)
    if allows_none(hint):
        if value is not None:
            raise Unfit("is not null")
        return None
    sequence, mapping = _sequence_of(hint), _mapping_of(hint)
    if sequence is not None:
        if not isinstance(value, list):
            raise Unfit("is not a list")
        return _collect(value, sequence)
    if mapping is not None:
        return _mapped(value, mapping)
    if get_origin(hint) is Literal:
        if any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            return value
        raise Unfit(f"is none of {type_text(hint)}")
    if not isinstance(hint, type):
        return value
    if isinstance(value, str) and hint is not str:
        return _from_text(value, hint) if _reads_text(hint) else _refuse(hint)
    return _object(value, hint)


def _object(value: Any, hint: type) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _made(hint, value)
    if issubclass(hint, tuple) and hasattr(hint, "_fields") and isinstance(value, (dict, list)):
        fields = list(hint._fields)
        named = value if isinstance(value, dict) else dict(zip(fields, value, strict=False))
        return _made(hint, named)
    if typing.is_typeddict(hint):
        return value
    if hint is float and type(value) is int:
        return float(value)
    is_number = hint in {int, float, str, bool}
    if (is_number and type(value) is not hint) or (not is_number and not isinstance(value, hint)):
        _refuse(hint)
    return value


def _refuse(hint: Any) -> Any:
    raise Unfit(f"is not of type {type_text(hint)}")


def _reads_text(hint: type) -> bool:
    return issubclass(hint, (enum.Enum, pathlib.PurePath, bytes)) or hint in {dt.timedelta, *_DATES, *_BY_TEXT}


def _made(cls: Any, named: dict[str, Any]) -> Any:
    """An object of a class with fields, each of them of the field's type."""
    try:
        hints = typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001  a name of an annotation may exist for type checkers only
        hints = {}
    values = {}
    for name, value in named.items():
        try:
            values[name] = _convert(value, hints.get(name, Any))
        except Unfit as error:
            raise Unfit(f"has {name}={value!r}, which {error}") from error
    try:
        return cls(**values)
    except TypeError as error:
        raise Unfit(f"does not fit: {error}") from error


def _first(value: Any, hint: Any, convert: Callable[[Any, Any], Any]) -> Any:
    """The value by the first member of a union that takes it, the strictest member first."""
    members = sorted((plain(m) for m in get_args(hint)), key=lambda m: _LATE.get(m, 0 if allows_none(m) else 1))
    for member in members:
        if member is bool and isinstance(value, str) and value in {"0", "1"} and len(members) > 2:
            continue  # More likely a number, where there are other members.
        try:
            return convert(value, member)
        except Unfit:
            continue
    raise Unfit("fits none of these")


def _sequence_of(hint: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """The class to make of a list, and the types of its items; None for a type that is no list."""
    if _is_union(hint):
        found = [_sequence_of(plain(member)) for member in get_args(hint) if not allows_none(member)]
        return found[0] if len(found) == 1 else None
    origin = get_origin(hint) or hint
    try:
        return (origin, get_args(hint)) if origin in _LISTS else None
    except TypeError:
        return None


def _mapping_of(hint: Any) -> tuple[Any, Any] | None:
    origin = get_origin(hint) or hint
    if not any(origin is kind for kind in _DICTS):
        return None
    key, value = get_args(hint) or (Any, Any)
    return key, value


def _collect(values: list[Any], sequence: tuple[Any, tuple[Any, ...]]) -> Any:
    origin, arguments = sequence
    make = _LISTS[origin]
    if origin is tuple and arguments and ... not in arguments:
        wanted = [] if arguments == ((),) else list(arguments)
        if len(values) != len(wanted):
            raise Unfit(f"has {len(values)} items and must have {len(wanted)}")
        return make([_item(i, value, hint) for i, (value, hint) in enumerate(zip(values, wanted, strict=True))])
    item = arguments[0] if arguments else Any
    return make([_item(i, value, item) for i, value in enumerate(values)])


def _item(index: int, value: Any, hint: Any) -> Any:
    try:
        return _convert(value, hint)
    except Unfit as error:
        shown = str(value) if isinstance(value, _From) else json.dumps(value)
        raise Unfit(f"has item {index}, {shown!r} for {type_text(hint)}, which {error}") from error


def _mapped(value: Any, mapping: tuple[Any, Any]) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise Unfit("is not an object in JSON")
    key_hint, value_hint = mapping
    # Keys of JSON are always text.
    return {_from_text(key, key_hint): _item_of(key, inner, value_hint) for key, inner in value.items()}


def _item_of(key: str, value: Any, hint: Any) -> Any:
    try:
        return _convert(value, hint)
    except Unfit as error:
        raise Unfit(f"has {key!r}: {str(value)!r}, which {error}") from error


def _pairs(word: str, hint: Any) -> dict[str, Any]:
    if _is_json(word, "{"):
        found: dict[str, Any] = _json(word)
        return found
    name, equals, value = word.partition("=")
    if not equals:
        raise Unfit(f"is neither JSON nor key=value ({type_text(hint)})")
    return {name: _From(value)}


def _is_json(text: str, start: str) -> bool:
    if not text.lstrip().startswith(start):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unfit("is not JSON") from error


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return str(text)


def _flag(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise Unfit("is neither true nor false")


def _number(text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise Unfit("is not a whole number" if kind is int else "is not a number") from error


def _timedelta(text: str) -> dt.timedelta:
    try:
        return dt.timedelta(seconds=seconds(float(text) if _is_number(text) else text, option="duration"))
    except DefinitionError as error:
        raise Unfit("is not a duration (an example: 30m)") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _choice(text: str, choices: list[tuple[Any, str]]) -> Any:
    for choice, word in choices:
        if word == text:
            return choice
    raise Unfit(f"is none of {', '.join(dict.fromkeys(word for _, word in choices))}")


def _word_of(choice: object) -> str:
    if isinstance(choice, enum.Enum):
        return choice.name
    return choice if isinstance(choice, str) else json.dumps(choice, default=str)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) is Union or isinstance(hint, types.UnionType)
