"""A payload that sings when it is unpickled: what tampering puts where it could do harm."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

from pyflow.contract import Outcome
from pyflow.payload import decode, encode


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"open({self._file!r}, 'w').close()",)


class Cage:
    """A canary as a payload, and whether it has sung.

    Args:
        folder: Where it tells.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "sang"
        self.payload = b"".join(encode(Canary(self._file)).parts)
        self.artifact = {"kind": "pickle", "inline": base64.b64encode(self.payload).decode()}
        decode(memoryview(bytearray(self.payload)))
        assert self._file.exists(), "it does sing when it is loaded"
        self._file.unlink()

    @property
    def is_silent(self) -> bool:
        return not self._file.exists()


def forged_record(slot: str, artifact: object, more: str = "") -> bytes:
    """A record that a commit could be, but for its signature."""
    wire = Outcome(slot=slot, attempt=1, nonce="x", exit_code=0, result=artifact, started_at=1.0, duration_s=0.1)
    return wire.to_bytes()[:-1] + more.encode() + b"}"


def line_of(slot: str, record: bytes) -> bytes:
    """A record as a line in a folder's book of commits."""
    name = slot.encode()
    return b"\n%b\t%08x\t%b\n" % (name, zlib.crc32(record, zlib.crc32(name)), record)


def without_signatures(data: bytes) -> bytes:
    """A book or a record as a pyflow would have written it that knew of no signatures."""
    data = re.sub(rb',"sig":"[^"]*"', b"", data)
    if not data.startswith(b"\n"):
        return data
    lines = [line.split(b"\t") for line in data.split(b"\n") if line]
    return b"".join(line_of(slot.decode(), record) for slot, _, record in lines)
