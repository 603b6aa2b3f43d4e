"""Content addressing over any store: bytes are kept under their own digest and verified when read.

What is visible can always be verified: the chunk digests of a large blob are written before it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from pyflow.digest import CHUNK_SIZE, DIGEST_BYTES, BlobDigest, Buffer, bad_chunks, digest_of, sha256_hex
from pyflow.errors import IntegrityError, NotFoundError, StoreError
from pyflow.failpoints import reached
from pyflow.late import late
from pyflow.secrecy import Guard
from pyflow.store.commits import RunCommits
from pyflow.store.keys import Keys
from pyflow.store.protocol import BlobInfo, BlobStore
from pyflow.store.sweeps import RENEW_AFTER, is_condemned
from pyflow.store.trust import Trust

if TYPE_CHECKING:
    import pathlib
    import shutil
    import tempfile
    from concurrent import futures
else:
    futures = late("concurrent.futures")
    pathlib = late("pathlib")
    shutil = late("shutil")
    tempfile = late("tempfile")

# What is there under the right size is not written again, so running alone would not heal it.
_ADVICE: Final = "Nothing of it was used. Remove it and run again what made it, or restore it from a copy of the store."

_SWEEP_POLL_S: Final = 1.0


class ContentStore:
    """Blobs of one project under their digests, and what is believed of its records.

    Args:
        blobs: The store.
        keys: The project, and the owner of the runs.
        trust: With which keys records are signed and checked; None: as the environment says.
        guard: What must not be kept; None: the values of variables that look secret.
    """

    def __init__(self, blobs: BlobStore, keys: Keys, trust: Trust | None = None, guard: Guard | None = None) -> None:
        self.blobs = blobs
        self.keys = keys
        self.trust = trust or Trust()
        self.guard = guard or Guard()
        self._commits: RunCommits | None = None

    def commits(self, run_id: str, graph_digest: str) -> RunCommits:
        """The commits of a run of this graph."""
        last = self._commits
        if last is None or last.run_id != run_id or last.graph_digest != graph_digest:
            last = RunCommits(self.blobs, self.keys.commits(run_id), run_id, graph_digest, self.trust)
            self._commits = last
        return last

    def put_blob(self, parts: Sequence[Buffer]) -> BlobDigest:
        """Keep the bytes that the parts make, and answer their address.

        A blob of this size that is already there under the digest is not written again, unless it is so old that a
        collector may be about to remove it: see ``sweeps.py``.
        """
        digest = digest_of(parts)
        found = self.blobs.info(self.keys.blob(digest.hex))
        if found is None or found.size_bytes != digest.size_bytes:
            self._write(digest, parts)
        elif _is_old(found):
            self._renew(digest, parts)
        return digest

    def renew_blob(self, digest: str) -> None:
        """Make sure that a blob which is there stays for whoever is about to refer to it.

        Raises:
            NotFoundError: There is no such blob.
        """
        found = self.blobs.info(self.keys.blob(digest))
        if found is None:
            raise NotFoundError(
                f"The store {self.blobs.url} holds nothing under {self.keys.blob(digest)!r}: it was removed, and can no "
                "longer be referred to. Run again what made it."
            )
        if _is_old(found):
            with self.lent_blob(digest, found.size_bytes) as data:
                self._renew(digest_of([data]), [data])

    def has_blob(self, digest: str) -> bool:
        """True when there is a blob under this digest; its bytes are not looked at."""
        return self.blobs.info(self.keys.blob(digest)) is not None

    def read_blob(self, digest: str, size_bytes: int) -> memoryview:
        """The bytes with this digest, verified, as a private and writable buffer.

        What does not fit is read once more alone, a chunk at a time, before it counts as damaged.

        Raises:
            NotFoundError: There is no such blob.
            IntegrityError: The stored bytes are not those with this digest and size.
        """
        key = self.keys.blob(digest)
        chunk_digests = self._chunk_digests(digest, size_bytes)
        data = self._read_whole(key, size_bytes)
        if size_bytes <= CHUNK_SIZE and sha256_hex(data) == digest:
            return data
        for index in bad_chunks(data, chunk_digests):
            start = index * CHUNK_SIZE
            expected = chunk_digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]
            data[start : start + CHUNK_SIZE] = self._read_again(
                key, index, min(CHUNK_SIZE, size_bytes - start), expected
            )
        return data

    def copy_blob(self, digest: str, size_bytes: int, path: pathlib.Path) -> None:
        """Write the bytes with this digest to a file, verified, in the memory of a few chunks.

        Raises:
            NotFoundError: There is no such blob.
            IntegrityError: The stored bytes are not those with this digest and size; the file is then worth nothing.
            OSError: The disk did not take the file.
        """
        if size_bytes <= CHUNK_SIZE:
            path.write_bytes(self.read_blob(digest, size_bytes))
            return
        key = self.keys.blob(digest)
        chunk_digests = self._chunk_digests(digest, size_bytes)
        with path.open("wb") as file, futures.ThreadPoolExecutor(max_workers=4) as threads:

            def copy(index: int) -> None:
                start = index * CHUNK_SIZE
                expected = chunk_digests[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]
                rest, at = self._read_chunk(key, index, min(CHUNK_SIZE, size_bytes - start), expected), start
                while rest:
                    written = os.pwrite(file.fileno(), rest, at)
                    rest, at = rest[written:], at + written

            for _ in threads.map(copy, range(-(-size_bytes // CHUNK_SIZE))):
                pass

    @contextlib.contextmanager
    def lent_blob(self, digest: str, size_bytes: int) -> Iterator[memoryview]:
        """The bytes with this digest, verified, while the block lasts, in the memory of a few chunks however large they are.

        What a store cannot map lies in a temporary file meanwhile.

        Raises:
            NotFoundError: There is no such blob.
            IntegrityError: The stored bytes are not those with this digest and size.
            StoreError: The disk did not take the file.
        """
        if size_bytes <= CHUNK_SIZE or self.blobs.url.startswith("file://"):
            yield self.read_blob(digest, size_bytes)
            return
        folder = tempfile.mkdtemp(prefix="pyflow-blob-")
        try:
            path = pathlib.Path(folder, "blob")
            try:
                self.copy_blob(digest, size_bytes, path)
            except OSError as error:
                raise StoreError(
                    f"A blob of {size_bytes / 2**20:.0f} MiB on its way from {self.blobs.url} cannot be kept in {folder}: {error}. Let "
                    "TMPDIR name a folder on a disk with room."
                ) from error
            # Not closed here: whoever was given it may hold a part of it a little longer, after an error for example.
            with path.open("rb") as file:
                yield memoryview(mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _read_chunk(self, key: str, index: int, length: int, expected: bytes) -> memoryview:
        chunk = self.blobs.read(key, index * CHUNK_SIZE, length)
        if len(chunk) == length and bytes.fromhex(sha256_hex(chunk)) == expected:
            return chunk
        return self._read_again(key, index, length, expected)

    def _write(self, digest: BlobDigest, parts: Sequence[Buffer]) -> None:
        reached("blob.before")
        if digest.chunk_digests:
            self.blobs.put(self.keys.chunks(digest.hex), [digest.chunk_digests])
        reached("chunks.after")
        self.blobs.put(self.keys.blob(digest.hex), parts)
        reached("blob.after")

    def _renew(self, digest: BlobDigest, parts: Sequence[Buffer]) -> None:
        """Write a blob anew, and return when no collector can be about to remove it."""
        key = self.keys.blob(digest.hex)
        while True:
            self._write(digest, parts)
            written = self.blobs.info(key)
            if written is not None and is_condemned(self.blobs, self.keys, digest.hex, now=written.modified_at):
                time.sleep(_SWEEP_POLL_S)
            elif self.has_blob(digest.hex):
                return

    def _chunk_digests(self, digest: str, size_bytes: int) -> bytes:
        """The digests of all chunks of a blob, themselves verified."""
        if size_bytes <= CHUNK_SIZE:
            return bytes.fromhex(digest)
        key = self.keys.chunks(digest)
        chunk_count = -(-size_bytes // CHUNK_SIZE)
        for _ in range(2):
            try:
                chunk_digests = self.blobs.get(key)
            except NotFoundError as error:
                raise self._missing_chunk_digests(digest, key) from error
            if sha256_hex(chunk_digests) == digest and len(chunk_digests) == DIGEST_BYTES * chunk_count:
                return chunk_digests
        raise IntegrityError(
            f"The list of chunk digests {key!r} in {self.blobs.url} is damaged: it does not have the digest in its "
            f"name, or not one entry for each chunk of {size_bytes} bytes. {_ADVICE}"
        )

    def _missing_chunk_digests(self, digest: str, key: str) -> Exception:
        if not self.has_blob(digest):
            return NotFoundError(f"The store {self.blobs.url} holds nothing under {self.keys.blob(digest)!r}.")
        return IntegrityError(
            f"The blob {self.keys.blob(digest)!r} in {self.blobs.url} cannot be verified: "
            f"its list of chunk digests {key!r} is missing. {_ADVICE}"
        )

    def _read_whole(self, key: str, size_bytes: int) -> memoryview:
        """The blob at the length it must have; one byte more is asked for, to see that there is none."""
        found = 0
        for _ in range(2):
            data = self.blobs.read(key, 0, size_bytes + 1)
            if len(data) == size_bytes:
                return data
            found = len(data)
        much = f"{found} bytes" if found < size_bytes else "more"
        raise IntegrityError(
            f"The blob {key!r} in {self.blobs.url} is damaged: it must have {size_bytes} bytes and has {much}. {_ADVICE}"
        )

    def _read_again(self, key: str, index: int, length: int, expected: bytes) -> memoryview:
        start = index * CHUNK_SIZE
        chunk = self.blobs.read(key, start, length)
        if len(chunk) == length and bytes.fromhex(sha256_hex(chunk)) == expected:
            return chunk
        raise IntegrityError(
            f"The blob {key!r} in {self.blobs.url} is damaged: chunk {index} (bytes {start} to {start + length}) "
            f"does not have the digest it was stored with, also when read again. {_ADVICE}"
        )


def _is_old(found: BlobInfo) -> bool:
    return datetime.now(timezone.utc) - found.modified_at > RENEW_AFTER
