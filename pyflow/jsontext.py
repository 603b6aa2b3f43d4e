"""Plain JSON, as everything that pyflow writes down is: compact, ASCII, one line."""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecoder, JSONEncoder, encoder
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
"""A value that JSON can hold. Spelled ``Any`` because a precise recursive type costs more than it tells."""

EMPTY_ARRAY: Final[list[Any]] = []
EMPTY_OBJECT: Final[dict[str, Any]] = {}
"""What a record holds where nothing was said. All of them share these, for nobody changes what a record holds."""

_ENCODER: Final = JSONEncoder(separators=(",", ":"), check_circular=False)


def _make_dump() -> Callable[[Json], str]:
    # ``JSONEncoder.encode`` makes an encoder in C for every call. Several lines are written for each small task, and one
    # encoder for all of them takes 4 µs for a line instead of 10. Interpreters without it have the slow way.
    make: Any = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return _ENCODER.encode
    escape: Any = encoder.encode_basestring_ascii
    pieces = make(None, _ENCODER.default, escape, None, ":", ",", False, False, True)  # noqa: FBT003  C takes no names
    return lambda value: "".join(pieces(value, 0))


_dump: Final = _make_dump()


def dump(value: Json) -> str:
    """A value as one line of ASCII."""
    return _dump(value)


def dump_lines(members: dict[str, Json]) -> str:
    """An object with a line for each member, for records that people look at, too.

    ``json.dumps(indent=1)`` says the same fifty times as slowly, since it encodes in Python.
    """
    return "{\n " + ",\n ".join(f"{dump(name)}: {dump(value)}" for name, value in members.items()) + "\n}"


_read: Final = JSONDecoder().raw_decode


def parse(text: bytes | bytearray) -> Json:
    """What ``dump`` was given; ``json.loads`` asks for encodings and space around, which takes as long as a short line itself.

    Raises:
        ValueError: It is not such a line.
    """
    value, end = _read(str(text, "ascii"))
    if end != len(text):
        raise ValueError(f"there is more behind the value that ends at {end}")
    return value


def parse_start(text: bytes) -> Json:
    """The value that a text begins with, whatever follows.

    Raises:
        ValueError: It begins with none.
    """
    return _read(str(text, "ascii"))[0]
