"""What laws are written with: claims that say what was expected and what was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)


def same(found: object, expected: object, what: str) -> None:
    """Claim that two values are equal.

    Raises:
        AssertionError: They are not.
    """
    if found != expected:
        raise AssertionError(f"{what}: expected {short(expected)}, found {short(found)}")


def holds(claim: object, what: str) -> None:
    """Claim something.

    Raises:
        AssertionError: It is false.
    """
    if not claim:
        raise AssertionError(f"this does not hold: {what}")


def raises(kind: type[E], ask: Callable[[], object], *parts: str) -> E:
    """Claim that a call raises an error of exactly this type, whose text has all these parts; the error.

    Raises:
        AssertionError: It answers, raises another error, or says something else.
    """
    try:
        answer = ask()
    except BaseException as error:
        if type(error) is not kind:
            raise AssertionError(f"expected {kind.__name__}, found {type(error).__name__}: {error}") from error
        missing = [part for part in parts if part not in full_text(error)]
        if missing:
            raise AssertionError(f"the error does not say {missing}: {full_text(error)}") from error
        return error
    raise AssertionError(f"expected {kind.__name__}, found the answer {short(answer)}")


def full_text(error: BaseException) -> str:
    """The message of an error and its notes."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def alike(one: Any, other: Any, known: set[tuple[int, int]] | None = None) -> bool:
    """Whether two values are of the same types and equal, down to NaN, the sign of zero, and cycles."""
    known = set() if known is None else known
    if type(one) is not type(other) or (id(one), id(other)) in known:
        return type(one) is type(other)
    known.add((id(one), id(other)))
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (
            math.isnan(one) and math.isnan(other)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(alike(a, b, known) for a, b in zip(one, other, strict=True))
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(alike(one[key], other[key], known) for key in one)
    if is_dataclass(one):
        return all(alike(getattr(one, f.name), getattr(other, f.name), known) for f in fields(one))
    if isinstance(one, BaseException):
        return alike(one.args, other.args, known) and alike(vars(one), vars(other), known)
    if type(one).__module__.split(".")[0] in {"numpy", "pandas", "pyarrow"}:
        return _alike_data(one, other, known)
    return bool(one == other)


def _alike_data(one: Any, other: Any, known: set[tuple[int, int]]) -> bool:
    """Arrays by their type, shape and bytes; frames by their own idea of being equal."""
    if hasattr(one, "equals"):
        return bool(one.equals(other)) and str(getattr(one, "dtypes", "")) == str(getattr(other, "dtypes", ""))
    if not hasattr(one, "dtype") or isinstance(one, type):
        return bool(one == other)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.hasobject:
        return alike(one.tolist(), other.tolist(), known)
    return bool(one.tobytes() == other.tobytes())


def short(value: object) -> str:
    """A value as text that fits on a few lines."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
