"""Content addresses: the sha256 of bytes, in chunks of 16 MiB.

The digest of a blob is the sha256 of its bytes when one chunk holds it. Otherwise it is the sha256 of
its chunks' digests, one after the other, so that each chunk can be checked, and fetched again, alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyflow.late import late

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

Buffer: TypeAlias = "bytes | bytearray | memoryview"

CHUNK_SIZE: Final = 16 * 1024 * 1024
DIGEST_BYTES: Final = hashlib.sha256().digest_size


class BlobDigest(NamedTuple):
    """The address of bytes, and what it takes to check them chunk by chunk."""

    hex: str
    size_bytes: int
    chunk_digests: bytes
    """The chunks' digests, 32 bytes each; empty when one chunk holds the blob."""


def sha256_hex(data: Buffer) -> str:
    """The sha256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """True for 64 lower-case hexadecimal digits, the only form in which a digest enters a key."""
    return len(text) == 2 * DIGEST_BYTES and all(c in "0123456789abcdef" for c in text)


def digest_of(parts: Sequence[Buffer]) -> BlobDigest:
    """The digest of the bytes that the parts make, one after the other."""
    size_bytes = sum(memoryview(part).nbytes for part in parts)
    if size_bytes <= CHUNK_SIZE:
        whole = hashlib.sha256()
        for part in parts:
            whole.update(part)
        return BlobDigest(whole.hexdigest(), size_bytes, b"")
    chunk_digests = b"".join(_digest_chunks(parts))
    return BlobDigest(sha256_hex(chunk_digests), size_bytes, chunk_digests)


def chunks_of(parts: Iterable[Buffer]) -> Iterator[tuple[memoryview, ...]]:
    """The same bytes in pieces that make chunks of ``CHUNK_SIZE``, without copying; the last is shorter."""
    pieces: list[memoryview] = []
    room = CHUNK_SIZE
    for part in parts:
        rest = memoryview(part).cast("B")
        while len(rest) >= room:
            yield (*pieces, rest[:room])
            rest, pieces, room = rest[room:], [], CHUNK_SIZE
        if len(rest):
            pieces.append(rest)
            room -= len(rest)
    if pieces:
        yield tuple(pieces)


def bad_chunks(data: memoryview, chunk_digests: bytes) -> list[int]:
    """Indices of the chunks of ``data`` whose bytes are not the ones that were digested."""
    found = _digest_chunks([data])
    expected = [chunk_digests[i : i + DIGEST_BYTES] for i in range(0, len(chunk_digests), DIGEST_BYTES)]
    return [i for i in range(max(len(found), len(expected))) if found[i : i + 1] != expected[i : i + 1]]


def _digest_pieces(pieces: tuple[memoryview, ...]) -> bytes:
    chunk = hashlib.sha256()
    for piece in pieces:
        chunk.update(piece)
    return chunk.digest()


def _digest_chunks(parts: Sequence[Buffer]) -> list[bytes]:
    if sum(memoryview(part).nbytes for part in parts) <= CHUNK_SIZE:
        return [_digest_pieces(chunk) for chunk in chunks_of(parts)]
    # hashlib lets go of the interpreter lock, so two threads hash twice as fast.
    with futures.ThreadPoolExecutor(max_workers=4) as threads:
        return list(threads.map(_digest_pieces, chunks_of(parts)))
