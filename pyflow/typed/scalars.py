"""One word of a command line → one value of a type that has no parts."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any, Final, cast

from pyflow.errors import DefinitionError
from pyflow.graph import seconds

TRUE: Final = ("true", "yes", "on", "1")
FALSE: Final = ("false", "no", "off", "0")

NOTHING: Final = object()
"""Not None, which is a value."""

_BY_TEXT: Final[tuple[type, ...]] = (decimal.Decimal, fractions.Fraction, uuid.UUID, complex)
_DATES: Final[dict[type, str]] = {
    dt.datetime: "2026-01-31T12:00", dt.date: "2026-01-31", dt.time: "12:00",
}  # fmt: skip


class Unfit(Exception):  # noqa: N818  it never leaves this package: it becomes a usage error
    """A word is not a value of the type; the message says what would be."""


def value_of(text: str, hint: type) -> Any:
    """A word as a value of a class; ``NOTHING`` when the class has no form as a word."""
    if issubclass(hint, enum.Enum):
        members = hint.__members__
        return choice(
            text, [*((m, name) for name, m in members.items()), *((m, str(m.value)) for m in members.values())]
        )
    if hint in {int, float}:
        return number(text, hint)
    if issubclass(hint, pathlib.PurePath):
        return hint(text)
    if hint is dt.timedelta:
        return timedelta(text)
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
    return NOTHING


def reads_text(hint: type) -> bool:
    """Whether a text of JSON may stand for a value of the class."""
    return issubclass(hint, (enum.Enum, pathlib.PurePath, bytes)) or hint in {dt.timedelta, *_DATES, *_BY_TEXT}


def flag(text: str) -> bool:
    """True or false."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise Unfit("is neither true nor false")


def number(text: str, kind: type) -> Any:
    """A number."""
    try:
        return kind(text)
    except ValueError as error:
        raise Unfit("is not a whole number" if kind is int else "is not a number") from error


def timedelta(text: str) -> dt.timedelta:
    """A duration, in seconds or as ``30m``."""
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


def choice(text: str, choices: list[tuple[Any, str]]) -> Any:
    """The choice that a word names."""
    for one, word in choices:
        if word == text:
            return one
    raise Unfit(f"is none of {', '.join(dict.fromkeys(word for _, word in choices))}")


def is_json(text: str, start: str) -> bool:
    """Whether a text is JSON that starts so."""
    if not text.lstrip().startswith(start):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def from_json(text: str) -> Any:
    """What a text of JSON says."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unfit("is not JSON") from error


def json_or_text(text: str) -> Any:
    """The same; the text itself when it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return str(text)
