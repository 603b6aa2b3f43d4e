"""Codecs of plain values: JSON where it gives back exactly what it got, text and bytes.

JSON is for small values that people may want to read in a store; everything that it would change or
refuse is left to pickle: tuples, keys that are no strings, NaN, shared lists, surrogates.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Final

from pyflow.errors import IntegrityError
from pyflow.payload.model import Body, Payload, Request, make_payload

NOT_SMALL: Final = object()
"""What :func:`encode_small` gives for a value that needs a payload of its own."""

_MAX_SMALL_INT: Final = 2**53  # beyond it, JSON readers other than Python's round
_MAX_SMALL_TEXT: Final = 1024
# Python refuses to read or write ints of more digits than a limit that can be set as low as 640
# (sys.int_info.str_digits_check_threshold); 2**2000 has 603.
_MAX_BITS: Final = 2000
_MAX_ITEMS: Final = 1000
_MAX_DEPTH: Final = 40

_to_json: Final[Callable[[object], str]] = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
_from_json: Final[Callable[[str], object]] = json.JSONDecoder().decode


def encode_small(value: object) -> object:
    """The value itself when it can stand in JSON as it is and is small, else ``NOT_SMALL``.

    Small are None, bools, ints that every JSON reader keeps, finite floats and strings up to 1 KiB.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_MAX_SMALL_INT < value < _MAX_SMALL_INT else NOT_SMALL  # type: ignore[operator]
    if kind is float:
        return value if isfinite(value) else NOT_SMALL  # type: ignore[arg-type]
    if kind is str:
        return value if _is_small_text(value) else NOT_SMALL  # type: ignore[arg-type]
    return NOT_SMALL


def encode_json(value: object, _request: Request) -> Payload | None:
    """The value as JSON, or None when JSON would not give it back as it is."""
    if not _is_exact_in_json(value):
        return None
    try:
        body = _to_json(value).encode()
    except UnicodeEncodeError:  # a lone surrogate somewhere inside
        return None
    return make_payload("json", (body,), length=len(value) if isinstance(value, (list, dict)) else None)


def decode_json(body: Body) -> object:
    """The value that JSON text stands for."""
    try:
        return _from_json(str(body.data, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"A JSON payload is not JSON: {error}.") from error


def encode_text(value: str, _request: Request) -> Payload | None:
    """The string as UTF-8, or None when it holds a lone surrogate."""
    try:
        body = value.encode()
    except UnicodeEncodeError:
        return None
    return make_payload("text", (body,), length=len(value))


def decode_text(body: Body) -> str:
    """The string that was encoded."""
    try:
        return str(body.data, "utf-8")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"A text payload is not UTF-8: {error}.") from error


def encode_bytes(value: bytes, _request: Request) -> Payload:
    """The bytes themselves."""
    return make_payload("bytes", (value,), length=len(value))


def decode_bytes(body: Body) -> bytes:
    """A copy of the bytes: an object of type bytes owns its memory."""
    return bytes(body.data)


def _is_small_text(text: str) -> bool:
    if len(text) > _MAX_SMALL_TEXT:
        return False
    if text.isascii():
        return True
    try:
        return len(text.encode()) <= _MAX_SMALL_TEXT
    except UnicodeEncodeError:
        return False


def _is_exact_in_json(value: object) -> bool:
    """True when JSON gives back an equal value of the same types, strings aside, which are looked at later."""
    level: list[object] = [value]
    seen: set[int] = set()
    items = 0
    for _ in range(_MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if type(item) is list or type(item) is dict:
                if id(item) in seen or not _has_text_keys(item):  # what is met twice is shared, or a cycle
                    return False
                seen.add(id(item))
                items += len(item)
                if items > _MAX_ITEMS:
                    return False
                below.extend(item.values() if isinstance(item, dict) else item)
            elif not _is_exact_scalar(item):
                return False
        if not below:
            return True
        level = below
    return False


def _has_text_keys(item: list[object] | dict[object, object]) -> bool:
    return type(item) is list or all(type(key) is str for key in item)


def _is_exact_scalar(value: object) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return value.bit_length() <= _MAX_BITS  # type: ignore[attr-defined, no-any-return]
    return kind is float and isfinite(value)  # type: ignore[arg-type]
