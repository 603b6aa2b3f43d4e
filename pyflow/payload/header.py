r"""The layout of a payload's bytes: what stands before the body, written and checked.

    b"PYFLOW1\n"                8 bytes
    length of the header        unsigned, 4 bytes, little-endian
    header                      plain JSON
    zeros                       up to a multiple of 64
    body                        as many bytes as the header says, to the end

The header can be read without loading anything: it says which codec made the body, by which Python,
and where the buffers in it are. What the body holds is the codecs' affair.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import cloudpickle

from pyflow.digest import Buffer
from pyflow.errors import EnvironmentMismatchError, IntegrityError

MAGIC: Final = b"PYFLOW1\n"
FORMAT_VERSION: Final = 1
ALIGNMENT: Final = 64
"""A cache line, and what NumPy and Arrow like their data to begin on."""

PYTHON_MINOR: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"
PICKLED_KINDS: Final = frozenset({"pickle", "function"})
KINDS: Final = PICKLED_KINDS | {"json", "text", "bytes", "npy", "arrow", "file", "folder"}

_LENGTH: Final = struct.Struct("<I")
_PREFIX: Final = len(MAGIC) + _LENGTH.size
_encode: Final[Callable[[object], str]] = json.JSONEncoder(separators=(",", ":")).encode
_START_BY_KIND: Final = {
    kind: _encode(
        {"version": FORMAT_VERSION, "kind": kind, "python": PYTHON_MINOR, "cloudpickle": cloudpickle.__version__}
    )[:-1]
    for kind in KINDS
}


class Header(NamedTuple):
    """What a payload says of itself, checked against the bytes that follow it."""

    kind: str
    python: str
    """The Python minor that made it: ``3.11``."""
    cloudpickle: str
    """The version of cloudpickle that made it."""
    body_start: int
    body_size: int
    fields: Mapping[str, Any]
    """All of the header, with what the kind's own codec wrote there; unchecked."""

    def integer(self, key: str, at_most: int) -> int:
        """A number that the kind's codec wrote; IntegrityError when it is none, or out of bounds."""
        value = self.fields.get(key)
        if type(value) is not int or not 0 <= value <= at_most:
            raise IntegrityError(f"The header of a payload has {value!r} for {key!r}; at most {at_most} can be right.")
        return value

    def spans(self, key: str) -> list[tuple[int, int]]:
        """Places inside the body, as offset and length; IntegrityError when one leads out of it."""
        listed = self.fields.get(key, [])
        if not isinstance(listed, list):
            raise IntegrityError(f"The header of a payload has {listed!r} for {key!r}, which is no list.")
        return [self.span(entry) for entry in listed]

    def span(self, entry: object) -> tuple[int, int]:
        """One place inside the body; IntegrityError when it leads out of it."""
        match entry:
            case [int(offset), int(length)] if 0 <= offset <= offset + length <= self.body_size and length >= 0:
                return offset, length
        raise IntegrityError(f"The header of a payload names the bytes {entry!r} of a body of {self.body_size}.")


def padding(size: int) -> int:
    """How many zeros make ``size`` a multiple of the alignment."""
    return -size % ALIGNMENT


def write_header(kind: str, body_size: int, fields: Mapping[str, object] | None = None) -> bytes:
    """The bytes before a body of this kind and size."""
    more = "," + _encode(fields)[1:-1] if fields else ""
    text = f'{_START_BY_KIND[kind]},"size":{body_size}{more}}}'.encode()
    zeros = bytes(padding(_PREFIX + len(text)))
    return b"".join((MAGIC, _LENGTH.pack(len(text)), text, zeros))


def read_header(data: Buffer) -> Header:
    """What a payload says of itself; nothing of the body is loaded.

    Raises:
        IntegrityError: These are not the bytes of a payload, or not all of them.
        EnvironmentMismatchError: A newer pyflow wrote the format, or another Python minor pickled the body.
    """
    view = memoryview(data)
    fields, body_start = _read_fields(view)
    version, kind = fields.get("version"), fields.get("kind")
    _check_version(version)
    if not isinstance(kind, str) or kind not in KINDS:
        raise IntegrityError(f"A payload is of the kind {kind!r}, which does not exist.")
    body_size = len(view) - body_start
    if fields.get("size") != body_size:
        raise IntegrityError(f"A payload has {body_size} bytes where its header promises {fields.get('size')!r}.")
    python = str(fields.get("python"))
    if kind in PICKLED_KINDS and python != PYTHON_MINOR:
        raise EnvironmentMismatchError(
            f"A {kind} was made by Python {python}, and this is Python {PYTHON_MINOR}, which cannot load it: bytecode "
            f"differs between minors. Read it with Python {python}, or make it again with {PYTHON_MINOR}."
        )
    return Header(kind, python, str(fields.get("cloudpickle")), body_start, body_size, fields)


def _read_fields(view: memoryview) -> tuple[dict[str, Any], int]:
    start = bytes(view[: len(MAGIC)])
    if start != MAGIC or len(view) < _PREFIX:
        raise IntegrityError(f"These bytes are no payload: they begin with {start!r}.")
    (length,) = _LENGTH.unpack_from(view, len(MAGIC))
    end = _PREFIX + length
    if end + padding(end) > len(view):
        raise IntegrityError(f"A payload ends after {len(view)} bytes, inside its header of {length}.")
    try:
        fields = json.loads(str(view[_PREFIX:end], "utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"The header of a payload is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise IntegrityError(f"The header of a payload is not a JSON object, but a {type(fields).__name__}.")
    return fields, end + padding(end)


def _check_version(version: object) -> None:
    if type(version) is not int or version < 1:
        raise IntegrityError(f"A payload has the format version {version!r}, which does not exist.")
    if version > FORMAT_VERSION:
        raise EnvironmentMismatchError(
            f"A payload has the format version {version}, and this pyflow reads up to {FORMAT_VERSION}. "
            "A newer pyflow wrote it: install that one here."
        )
