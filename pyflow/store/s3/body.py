"""Bytes on their way: parts as the body of a request, and the body of an answer into a buffer."""

from __future__ import annotations

import hashlib
import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pyflow.digest import Buffer, sha256_hex
from pyflow.store.s3.failure import ShortBodyError

# Larger bites leave copies of that size behind in each thread.
_BITE: Final = 1024 * 1024

_SMALL: Final = 256 * 1024

DIGEST: Final = "pyflow-sha256"
"""Metadata of small objects."""


def size_of(parts: Sequence[Buffer]) -> int:
    """Bytes of all parts together."""
    return sum(memoryview(part).nbytes for part in parts)


def body_of(parts: Sequence[Buffer]) -> bytes | Parts:
    """Parts in a form that boto3 takes as a body: joined when small, else read piece by piece."""
    return b"".join(parts) if size_of(parts) <= _SMALL else Parts(parts)


def sealed(parts: Sequence[Buffer], metadata: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Parameters that let the store, and later the reader, see whether a small object came as it was sent.

    Records and segments of logs have no digest in their keys, and a bit that flips on the way would go unnoticed. Not
    all stores look at the digest in the signature (SeaweedFS does not), but most look at the checksum.
    """
    if size_of(parts) > _SMALL:
        return {"Metadata": metadata} if metadata else {}
    digest = hashlib.sha256(b"".join(parts))
    return {
        "ChecksumSHA256": b64encode(digest.digest()).decode(),
        "Metadata": {**metadata, DIGEST: digest.hexdigest()},
    }


def is_as_sealed(content: Buffer, metadata: Mapping[str, str]) -> bool:
    """Whether an object's bytes, all of them, are those that were written, as far as its metadata tells."""
    digest = metadata.get(DIGEST)
    return digest is None or sha256_hex(content) == digest


class Parts(io.RawIOBase):
    """Parts of memory as one file that can be read again, for signing and then for sending, without a copy of it all."""

    def __init__(self, parts: Sequence[Buffer]) -> None:
        super().__init__()
        self._views = [view.cast("B") for view in (memoryview(part) for part in parts) if view.nbytes]
        self._size = sum(map(len, self._views))
        self._position = 0
        self._index = 0
        self._offset = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How much has been read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on reading from there."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = min(max(base + offset, 0), self._size)
        self._index, self._offset = 0, self._position
        while self._index < len(self._views) and self._offset >= len(self._views[self._index]):
            self._offset -= len(self._views[self._index])
            self._index += 1
        return self._position

    def read(self, size: int = -1) -> bytes:
        """At most so many of the next bytes; empty only at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_BITE), b""))
        if self._index == len(self._views):
            return b""
        view = self._views[self._index]
        piece = bytes(view[self._offset : self._offset + size])
        self._position += len(piece)
        self._offset += len(piece)
        if self._offset == len(view):
            self._index, self._offset = self._index + 1, 0
        return piece


def fill(target: memoryview, body: Any) -> None:
    """Read a body into a buffer of the length that it must have, and no further.

    Raises:
        ShortBodyError: The body has fewer bytes.
    """
    filled = 0
    try:
        while filled < len(target):
            piece = body.read(min(_BITE, len(target) - filled))
            if not piece:
                raise ShortBodyError(f"{filled} bytes came instead of {len(target)}")
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
    finally:
        body.close()
