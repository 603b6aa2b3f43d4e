"""A payload is checked before anything in it is loaded."""

from __future__ import annotations

import json
import pickle
import struct

import pytest

from pyflow.errors import EnvironmentMismatchError, IntegrityError
from pyflow.payload import decode, encode, read_header
from pyflow.payload.header import ALIGNMENT, MAGIC, PYTHON_MINOR, padding


class Canary:
    sang = False

    def __reduce__(self):
        return setattr, (Canary, "sang", True)


def with_header(fields: object, body: bytes) -> memoryview:
    """A payload with any header, right or wrong, before a body."""
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    start = MAGIC + struct.pack("<I", len(text)) + text
    return memoryview(bytearray(start + bytes(padding(len(start))) + body))


def fields_for(body: bytes, **changes: object) -> dict:
    fields = {"version": 1, "kind": "pickle", "python": PYTHON_MINOR, "cloudpickle": "3", "size": len(body)}
    return {**fields, "stream": len(body), **changes}


def test_the_header_is_plain_json_and_says_what_the_body_is():
    """Without unpickling, a reader knows kind, Python, sizes and where the buffers are."""
    data = b"".join(encode((1, 2)).parts)
    header = read_header(data)
    assert (header.kind, header.python, header.body_start % ALIGNMENT) == ("pickle", PYTHON_MINOR, 0)
    assert header.body_start + header.body_size == len(data)
    assert pickle.loads(data[header.body_start :]) == (1, 2)


def test_another_python_minor_is_found_before_unpickling():
    """A pickle of another minor is refused by name of both minors, and nothing in it runs."""
    body = pickle.dumps(Canary())
    for kind in ("pickle", "function"):
        with pytest.raises(EnvironmentMismatchError, match=rf"Python 3\.99, and this is Python {PYTHON_MINOR}"):
            decode(with_header(fields_for(body, kind=kind, python="3.99"), body))
    assert not Canary.sang
    decode(with_header(fields_for(body), body))
    assert Canary.sang


def test_plain_formats_cross_python_minors():
    """JSON, text and the like hold no bytecode and are read by any Python."""
    assert decode(with_header(fields_for(b"[1]", kind="json", python="3.99"), b"[1]")) == [1]


def test_a_newer_format_is_named():
    """A payload of a later pyflow says that pyflow is to be updated."""
    with pytest.raises(EnvironmentMismatchError, match="format version 2"):
        decode(with_header(fields_for(b"", version=2), b""))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PYFLOW1",
        MAGIC,
        MAGIC + b"\xff\xff\xff\xff",
        MAGIC + struct.pack("<I", 2**31) + bytes(100),
        b"PK\x03\x04" + bytes(200),
        bytes(64),
    ],
)
def test_bytes_that_are_no_payload_are_refused(data):
    """Short, foreign and truncated bytes are one clear error."""
    with pytest.raises(IntegrityError):
        decode(memoryview(data))


@pytest.mark.parametrize(
    "fields",
    [
        b"not json",
        b"\xff\xfe",
        b"[" * 50_000,
        b"[]",
        b"1" * 10_000,
        {},
        fields_for(b"x" * 64, version=0),
        fields_for(b"x" * 64, version=True),
        fields_for(b"x" * 64, version="1"),
        fields_for(b"x" * 64, kind="zip"),
        fields_for(b"x" * 64, kind=["pickle"]),
        fields_for(b"x" * 64, size=63),
        fields_for(b"x" * 64, size=10**30),
        fields_for(b"x" * 64, stream=65),
        fields_for(b"x" * 64, stream=-1),
        fields_for(b"x" * 64, stream=None),
        fields_for(b"x" * 64, buffers={"a": 1}),
        fields_for(b"x" * 64, buffers=[[0, 65]]),
        fields_for(b"x" * 64, buffers=[[-1, 2]]),
        fields_for(b"x" * 64, buffers=[[60, -10]]),
        fields_for(b"x" * 64, buffers=[[10**30, 1]]),
        fields_for(b"x" * 64, buffers=[5]),
        fields_for(b"x" * 64, files=[[0, 65, {}]]),
        fields_for(b"x" * 64, files=[[0, 1]]),
        fields_for(b"x" * 64, files=[[0, 1, {"is": "file", "name": "../x", "mode": 0o600}]]),
        fields_for(b"x" * 64, kind="file", file={"is": "file", "name": "..", "mode": 0o600}),
        fields_for(b"x" * 64, kind="file", file={"is": "pipe", "name": "a", "mode": 0o600}),
        fields_for(b"x" * 64, kind="file"),
        fields_for(b"\xff" * 64, kind="text"),
        fields_for(b"x" * 64, kind="json"),
        fields_for(b"x" * 64, kind="npy"),
        fields_for(b"x" * 64, kind="arrow"),
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_its_body_is_refused(fields):
    """Sizes, places and names out of bounds are found before they are used."""
    body = b"\xff" * 64 if isinstance(fields, dict) and fields.get("kind") == "text" else b"x" * 64
    with pytest.raises(IntegrityError):
        decode(with_header(fields, body))


def test_a_truncated_payload_is_refused_at_each_length():
    """No part of a payload is taken for the whole."""
    data = b"".join(encode({"a": (1, "x" * 50)}).parts)
    for length in range(len(data)):
        with pytest.raises(IntegrityError):
            decode(memoryview(bytearray(data[:length])))


def test_a_pickle_that_ends_early_is_damaged():
    """A stream that is no whole pickle is an integrity error, not an EOFError."""
    body = pickle.dumps([1, 2, 3])[:-1]
    with pytest.raises(IntegrityError, match="damaged"):
        decode(with_header(fields_for(body), body))


def test_a_missing_module_is_named():
    """A value of a class that is not installed here says which module is missing."""
    body = b"cno_such_module_anywhere\nThing\n."
    with pytest.raises(EnvironmentMismatchError, match="no_such_module_anywhere"):
        decode(with_header(fields_for(body), body))
    gone = b"cjson\nNoSuchName\n."
    with pytest.raises(EnvironmentMismatchError, match="NoSuchName"):
        decode(with_header(fields_for(gone), gone))


def test_a_hole_without_filling_is_refused():
    """A payload with holes cannot be taken for one without."""
    payload = encode([object], holes=lambda thing: 3 if thing is object else None)
    with pytest.raises(IntegrityError, match="hole 3"):
        decode(memoryview(bytearray(b"".join(payload.parts))))
