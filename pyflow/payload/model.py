"""What goes in and out of the codecs: a payload, the wishes of who encodes, the means of who decodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pyflow.digest import Buffer
from pyflow.payload.header import Header, write_header

Holes: TypeAlias = "Callable[[object], int | None]"


class Payload(NamedTuple):
    """The bytes of an object, in parts that may alias it: use them before the object changes."""

    kind: str
    """``json``, ``text``, ``bytes``, ``npy``, ``arrow``, ``pickle``, ``function``, ``file`` or ``folder``."""
    parts: tuple[Buffer, ...]
    """The header block, then the body; one after the other they are the payload."""
    size: int
    """Bytes of all parts."""
    length: int | None
    """How many items the value has, if it has a length."""


class Request(NamedTuple):
    """How a value is to be encoded, and what it is called when that fails."""

    what: str
    name: str
    scratch: Path | None = None
    holes: Holes | None = None
    keeps_paths: bool = False
    """True when paths inside the value stay plain values, whatever lies there."""
    leaves_out: str = ""
    """Folders in a folder that hold a file of this name do not travel."""

    def sentence(self, rest: str) -> str:
        """A sentence that begins with what is being encoded."""
        return f"{self.what[:1].upper()}{self.what[1:]} {rest}"


class Body(NamedTuple):
    """The body of a payload whose header has been checked, and what decoding may use."""

    header: Header
    data: memoryview
    scratch: Path | None
    fill: Sequence[object]


def make_payload(
    kind: str,
    body: Sequence[Buffer],
    *,
    fields: Mapping[str, object] | None = None,
    length: int | None = None,
) -> Payload:
    """A payload with the header that its body needs. The parts of the body are flat: their length is in bytes."""
    body_size = sum(map(len, body))
    header = write_header(kind, body_size, fields)
    return Payload(kind, (header, *body), len(header) + body_size, length)


def length_of(value: object) -> int | None:
    """How many items a value has; None when it has no length, or does not want to tell."""
    if not hasattr(type(value), "__len__"):
        return None
    try:
        return len(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001  # the user's own __len__ may raise anything, and the length is no necessity
        return None
