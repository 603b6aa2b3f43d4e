"""The table of codecs: which one encodes a value, which one decodes a kind.

A codec is tried for values of exactly its type, since a subclass may carry more than the codec keeps. One
that answers None leaves the value to pickle. To add a codec: a line in each of the two tables, and its
kind in ``header``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pyflow.payload.arrays import decode_array, encode_array
from pyflow.payload.files import decode_path, encode_path
from pyflow.payload.frames import decode_frame, encode_frame
from pyflow.payload.model import Body, Payload, Request
from pyflow.payload.paths import PATH_TYPE
from pyflow.payload.pickles import decode_pickle, encode_simple_pickle
from pyflow.payload.plain import decode_bytes, decode_json, decode_text, encode_bytes, encode_json, encode_text

Encoder: TypeAlias = "Callable[[Any, Request], Payload | None]"
Decoder: TypeAlias = "Callable[[Body], object]"

ENCODERS: Final[dict[type, tuple[Encoder, ...]]] = {
    type(None): (encode_json,),
    bool: (encode_json,),
    int: (encode_json, encode_simple_pickle),
    float: (encode_json, encode_simple_pickle),
    complex: (encode_simple_pickle,),
    str: (encode_text, encode_simple_pickle),
    list: (encode_json,),
    dict: (encode_json,),
    bytes: (encode_bytes,),
    PATH_TYPE: (encode_path,),
}
"""By the type of the value; the first that gives a payload has made it."""

FOREIGN_ENCODERS: Final[dict[str, Encoder]] = {"ndarray": encode_array, "DataFrame": encode_frame}
"""By the name of the type, for libraries that pyflow does not import; the codec looks at the type itself."""

DECODERS: Final[dict[str, Decoder]] = {
    "json": decode_json,
    "text": decode_text,
    "bytes": decode_bytes,
    "npy": decode_array,
    "arrow": decode_frame,
    "file": decode_path,
    "folder": decode_path,
    "pickle": decode_pickle,
    "function": decode_pickle,
}
"""By the kind in the header."""

WRITES_TO_ITS_BYTES: Final = frozenset({"npy", "pickle", "function"})
"""Kinds whose values may lie on top of the payload's bytes."""


def encode_by_type(value: object, request: Request) -> Payload | None:
    """The payload from a codec for this type; None when there is none, or it leaves the value to pickle."""
    kind = type(value)
    encoders = ENCODERS.get(kind)
    if encoders is not None:
        for encode in encoders:
            if (payload := encode(value, request)) is not None:
                return payload
        return None
    foreign = FOREIGN_ENCODERS.get(kind.__name__)
    return None if foreign is None else foreign(value, request)
