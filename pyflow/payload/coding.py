"""The verbs: ``encode``, ``encode_function`` and ``decode``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyflow.errors import NotSerializableError
from pyflow.payload.codecs import DECODERS, WRITES_TO_ITS_BYTES, encode_by_type
from pyflow.payload.explain import LARGE_CAPTURE_BYTES, not_serializable, warn_of_large_capture
from pyflow.payload.header import read_header
from pyflow.payload.model import Body, Holes, Payload, Request
from pyflow.payload.pickles import encode_pickle


def encode(
    value: object,
    *,
    what: str = "the value",
    name: str | None = None,
    part: str = "",
    scratch: Path | None = None,
    holes: Holes | None = None,
    leaves_out: str = "",
) -> Payload:
    """The payload of any value that can be rebuilt elsewhere, equal and of the same type.

    A ``Path`` stands for the file or folder that lies there, and one that is listed in a list, tuple, dict,
    set or dataclass does, too, if something lies there; otherwise it is a plain value.

    Args:
        what: What the value is, for error messages: ``the result of task 'fit'``.
        name: What the author calls it, the beginning of the path in messages: ``data['conn'].lock``. When it
            is None, ``data`` is taken from an ``argument 'data'`` in ``what``.
        part: Where the value stands in what ``name`` means, as its author would write it: ``['conn']``.
        scratch: A folder for the archive of a folder, which has no name there; the system's own when None.
        holes: Gives a number for objects that are not part of the payload: ``decode`` puts ``fill[number]`` in
            their places. It is asked about each object that is not of a simple built-in type.
        leaves_out: Folders in a folder that hold a file of this name do not travel; there is a ``LeftOutWarning``.

    Raises:
        NotSerializableError: The value, or a part of it that the message names, cannot be turned into bytes.
    """
    request = Request(what, (name or _name_in(what)) + part, scratch, holes, leaves_out=leaves_out)
    payload = encode_by_type(value, request)
    if payload is not None:
        return payload
    return _explained(encode_pickle, value, request, "pickle")


def encode_function(fn: Callable[..., object], *, what: str) -> Payload:
    """The payload of a callable: by reference when it can be imported, else by value with all it uses.

    Args:
        what: What the function is, for error messages: ``task 'fit'``.

    A payload of 1 MiB or more warns with ``LargeCaptureWarning`` and names the largest thing in it.

    Raises:
        NotSerializableError: It uses something that cannot be turned into bytes; the message says by which name.
    """
    request = Request(what, getattr(fn, "__name__", type(fn).__name__), keeps_paths=True)
    payload = _explained(encode_pickle, fn, request, "function")
    if payload.size >= LARGE_CAPTURE_BYTES:
        warn_of_large_capture(fn, request)
    return payload


def decode(data: memoryview, *, scratch: Path | None = None, fill: Sequence[object] = ()) -> object:
    """The value that a payload stands for: private, writable, and perhaps on top of ``data`` itself.

    Args:
        data: All bytes of a payload, verified. They belong to the value from now on.
        scratch: Folder for files that the value consists of; a new temporary one when None.
        fill: What to put into the holes that ``encode`` left.

    Raises:
        IntegrityError: These bytes are no payload.
        EnvironmentMismatchError: Another Python minor or a newer pyflow made them, or a module is missing here.
    """
    header = read_header(data)
    if data.readonly and header.kind in WRITES_TO_ITS_BYTES:
        data = memoryview(bytearray(data))
    return DECODERS[header.kind](Body(header, data[header.body_start :], scratch, fill))


def _name_in(what: str) -> str:
    _, found, rest = what.partition("argument '")
    name = rest.partition("'")[0]
    return name if found and name.isidentifier() else "value"


def _explained(make: Callable[[Any, Request, str], Payload], value: Any, request: Request, kind: str) -> Payload:
    try:
        return make(value, request, kind)
    except (NotSerializableError, MemoryError):
        raise
    except Exception as error:  # pickling runs the user's code, which may raise anything
        raise not_serializable(value, request, error) from error
