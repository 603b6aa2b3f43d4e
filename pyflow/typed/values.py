"""What somebody has typed → values, as a parameter's annotation says: words of a command line, a field of a page.

Each kind of type has one function from text to a value, and one for what JSON gives. Where no
annotation says otherwise, JSON is taken as JSON and everything else as text. What an annotation says is read
in ``hints``, and words without parts in ``scalars``.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, get_args, get_origin

from pyflow.typed.hints import SEQUENCES, allows_none, is_union, mapping_of, plain, sequence_of, type_text, word_of
from pyflow.typed.scalars import NOTHING, Unfit, choice, flag, from_json, is_json, json_or_text, reads_text, value_of

# Which member of a union is asked first: what takes any text comes last.
_LATE: Final[dict[Any, int]] = {str: 8, pathlib.Path: 8, bytes: 8, Any: 9, object: 9}


def parse(words: Sequence[str], hint: Any) -> Any:
    """The value of a parameter that was given once, or several times.

    Args:
        words: What stood behind the parameter's name, each time.
        hint: Its type, as ``typing.get_type_hints`` gives it; ``Any`` for none.

    Raises:
        Unfit: The words are no value of that type.
    """
    hint = plain(hint)
    sequence = sequence_of(hint)
    if sequence is not None and (len(words) > 1 or not is_json(words[0], "[")):
        if len(words) == 1 and allows_none(hint) and words[0] == "null":
            return None
        return _collect([_From(word) for word in words], sequence)
    if len(words) > 1 and mapping_of(hint) is not None:
        return _convert({k: v for word in words for k, v in _pairs(word, hint).items()}, hint)
    if len(words) > 1:
        raise Unfit(f"are {len(words)} values where it takes one")
    return _from_text(words[0], hint)


class _From(str):
    """A word of the command line inside of a list, as against a text that JSON gave."""

    __slots__ = ()


def parse_one(text: str, hint: Any) -> Any:
    """The value of a parameter that was typed into one field: a text as it stands, everything else as JSON.

    Where a text is one of several types, JSON's quotes around it make it one: ``"null"``.

    Args:
        text: What was typed.
        hint: Its type, as for ``parse``.

    Raises:
        Unfit: It is no value of that type.
    """
    hint = plain(hint)
    if hint is str:
        return text
    if is_json(text, '"'):
        return _convert(from_json(text), hint)
    if mapping_of(hint) is not None and not is_json(text, "{") and not (allows_none(hint) and text == "null"):
        raise Unfit("is not an object in JSON")
    return _from_text(text, hint)


def _from_text(text: str, hint: Any) -> Any:  # noqa: C901, PLR0911  a line for each kind of type
    hint = plain(hint)
    if is_union(hint):
        return _first(text, hint, _from_text)
    if hint is Any or hint is object:
        return json_or_text(text)
    if hint is str:
        return str(text)
    if hint is bytes:
        return text.encode()
    if allows_none(hint):
        if text != "null":
            raise Unfit("is not null")
        return None
    if hint is bool:
        return flag(text)
    if get_origin(hint) is Literal:
        return choice(text, [(one, word_of(one)) for one in get_args(hint)])
    if isinstance(hint, type):
        found = value_of(text, hint)
        if found is not NOTHING:
            return found
    if mapping_of(hint) is not None and not is_json(text, "{"):
        return _convert(_pairs(text, hint), hint)
    return _convert(from_json(text), hint)


def _convert(value: Any, hint: Any) -> Any:  # noqa: C901, PLR0911  a line for each kind of type
    """What JSON gave, as a value of the type."""
    hint = plain(hint)
    if isinstance(value, _From):
        return _from_text(str(value), hint)
    if hint is Any or hint is object:
        return value
    if is_union(hint):
        return _first(value, hint, _convert)
    if allows_none(hint):
        if value is not None:
            raise Unfit("is not null")
        return None
    sequence, mapping = sequence_of(hint), mapping_of(hint)
    if sequence is not None:
        if not isinstance(value, list):
            raise Unfit("is not a list")
        return _collect(value, sequence)
    if mapping is not None:
        return _mapped(value, mapping)
    if get_origin(hint) is Literal:
        if any(value == one and type(value) is type(one) for one in get_args(hint)):
            return value
        raise Unfit(f"is none of {type_text(hint)}")
    if not isinstance(hint, type):
        return value
    if isinstance(value, str) and hint is not str:
        return _from_text(value, hint) if reads_text(hint) else _refuse(hint)
    return _object(value, hint)


def _object(value: Any, hint: type) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _made(hint, value)
    if issubclass(hint, tuple) and hasattr(hint, "_fields") and isinstance(value, (dict, list)):
        fields = list(hint._fields)
        named = value if isinstance(value, dict) else dict(zip(fields, value, strict=False))
        return _made(hint, named)
    if typing.is_typeddict(hint):
        return _typed_dict(hint, value)
    if hint is float and type(value) is int:
        return float(value)
    is_number = hint in {int, float, str, bool}
    if (is_number and type(value) is not hint) or (not is_number and not isinstance(value, hint)):
        _refuse(hint)
    return value


def _refuse(hint: Any) -> Any:
    raise Unfit(f"is not of type {type_text(hint)}")


def _typed_dict(cls: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(cls)
    missing, unknown = sorted(cls.__required_keys__ - value.keys()), sorted(value.keys() - cls.__annotations__.keys())
    if missing or unknown:
        has = f"has no {missing[0]!r}" if missing else f"has {unknown[0]!r}"
        raise Unfit(f"{has}; the keys of {cls.__name__} are {', '.join(cls.__annotations__)}")
    return _fields(cls, value)


def _made(cls: Any, named: dict[str, Any]) -> Any:
    """An object of a class with fields, each of them of the field's type."""
    values = _fields(cls, named)
    try:
        return cls(**values)
    except TypeError as error:
        raise Unfit(f"does not fit: {error}") from error


def _fields(cls: Any, named: dict[str, Any]) -> dict[str, Any]:
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
    return values


def _first(value: Any, hint: Any, convert: Callable[[Any, Any], Any]) -> Any:
    """The value by the first member of a union that takes it, the strictest member first."""
    members = sorted((plain(m) for m in get_args(hint)), key=lambda m: _LATE.get(m, 0 if allows_none(m) else 1))
    why: dict[bool, str] = {}
    for member in members:
        if member is bool and isinstance(value, str) and value in {"0", "1"} and len(members) > 2:
            continue  # More likely a number, where there are other members.
        try:
            return convert(value, member)
        except Unfit as error:
            why[not allows_none(member)] = str(error)
    # Of one type that may be missing, the type says what is wrong.
    raise Unfit(why[True] if sum(not allows_none(member) for member in members) == 1 else "fits none of these")


def _collect(values: list[Any], sequence: tuple[Any, tuple[Any, ...]]) -> Any:
    origin, arguments = sequence
    make = SEQUENCES[origin]
    if origin is tuple and arguments and ... not in arguments:
        wanted = [] if arguments == ((),) else list(arguments)
        if len(values) != len(wanted):
            raise Unfit(f"has {len(values)} items and must have {len(wanted)}")
        return make([_item(i, value, hint) for i, (value, hint) in enumerate(zip(values, wanted, strict=True))])
    item = arguments[0] if arguments else Any
    if len(values) == 1 and isinstance(values[0], _From):
        return make([_convert(values[0], item)])
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
    # Keys of JSON are always text, and stay so unless the type says otherwise.
    is_said = plain(key_hint) not in {Any, object}
    return {
        _from_text(key, key_hint) if is_said else key: _item_of(key, inner, value_hint) for key, inner in value.items()
    }


def _item_of(key: str, value: Any, hint: Any) -> Any:
    try:
        return _convert(value, hint)
    except Unfit as error:
        raise Unfit(f"has {key!r}: {str(value)!r}, which {error}") from error


def _pairs(word: str, hint: Any) -> dict[str, Any]:
    if is_json(word, "{"):
        found: dict[str, Any] = from_json(word)
        return found
    name, equals, value = word.partition("=")
    if not equals:
        raise Unfit(f"is neither JSON nor key=value ({type_text(hint)})")
    return {name: _From(value)}
