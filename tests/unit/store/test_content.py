"""Content addressing: what is visible can be verified, and what does not fit is never handed out."""

from __future__ import annotations

import mmap
import os

import pytest

from pyflow.digest import CHUNK_SIZE, digest_of
from pyflow.errors import IntegrityError, NotFoundError, StoreError
from pyflow.store import ContentStore, Keys, open_blobs
from pyflow.store.memory import MemoryBlobs

KEYS = Keys("demo", "ann")
SIZE = 2 * CHUNK_SIZE + 1000


@pytest.fixture(scope="module")
def large() -> bytes:
    """Three chunks, all different."""
    return b"".join(bytes([number]) * CHUNK_SIZE for number in range(3))[:SIZE]


class FlakyBlobs(MemoryBlobs):
    """A store that flips a byte of what it reads, the first few times."""

    def __init__(self) -> None:
        super().__init__()
        self.flips: list[int] = []
        self.reads: list[tuple[int, int | None]] = []

    def read(self, key, start=0, length=None):
        data = super().read(key, start, length)
        self.reads.append((start, length))
        if self.flips:
            data[self.flips.pop(0) - start] ^= 1
        return data


class CountingBlobs(MemoryBlobs):
    """A store that remembers what was put, in order, and may refuse blobs."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: list[str] = []
        self.is_full = False

    def put(self, key, parts):
        if self.is_full and not key.endswith(".chunks"):
            raise StoreError("full")
        self.puts.append(key)
        super().put(key, parts)


def test_small_and_large_blobs_come_back(tmp_path, large):
    """From a folder a blob of any size comes back equal, writable, and without effect on the next reader."""
    content = ContentStore(open_blobs(tmp_path / "store"), KEYS)
    for data in (b"", b"x", large[:100_000], large[:CHUNK_SIZE], large):
        kept = content.put_blob([data[:10], memoryview(data)[10:]])
        assert kept == digest_of([data])
        for _ in range(2):
            view = content.read_blob(kept.hex, len(data))
            assert view == data
            assert not view.readonly
            view[:] = bytes(len(data))


def test_a_mapped_file_is_put_as_it_is(tmp_path, large):
    """A mapping can be put, also one that nobody may write to."""
    (tmp_path / "file").write_bytes(large)
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        content = ContentStore(open_blobs(tmp_path / "store"), KEYS)
        with memoryview(mapped) as view:
            kept = content.put_blob([view])
    assert content.read_blob(kept.hex, SIZE) == large


def test_what_is_there_is_not_written_again():
    """The same bytes are written once; a blob of another size under the key is replaced."""
    blobs = CountingBlobs()
    content = ContentStore(blobs, KEYS)
    kept = [content.put_blob([b"same"]), content.put_blob([b"sa", b"me"])]
    assert blobs.puts == [KEYS.blob(kept[0].hex)]
    blobs.put(KEYS.blob(kept[0].hex), [b"cut"])
    content.put_blob([b"same"])
    assert content.read_blob(kept[0].hex, 4) == b"same"


def test_a_visible_blob_can_be_verified(large):
    """The chunk digests come first, so that a crash in between leaves no blob without them."""
    blobs = CountingBlobs()
    content = ContentStore(blobs, KEYS)
    digest = digest_of([large]).hex
    blobs.is_full = True
    with pytest.raises(StoreError, match="full"):
        content.put_blob([large])
    assert not content.has_blob(digest)
    blobs.is_full = False
    content.put_blob([large])
    assert blobs.puts == [KEYS.chunks(digest), KEYS.chunks(digest), KEYS.blob(digest)]


@pytest.mark.parametrize("position", [0, CHUNK_SIZE, SIZE - 1])
def test_a_chunk_that_came_wrong_is_read_again_alone(large, position):
    """One bad read heals by reading that chunk once more, and nothing else."""
    blobs = FlakyBlobs()
    content = ContentStore(blobs, KEYS)
    kept = content.put_blob([large])
    blobs.flips = [position]
    assert content.read_blob(kept.hex, SIZE) == large
    start = position // CHUNK_SIZE * CHUNK_SIZE
    assert blobs.reads == [(0, SIZE + 1), (start, min(CHUNK_SIZE, SIZE - start))]


def test_a_lasting_mismatch_names_key_and_chunk(large):
    """A chunk that is wrong twice is an IntegrityError with the key, the chunk and where it lies."""
    blobs = FlakyBlobs()
    content = ContentStore(blobs, KEYS)
    kept = content.put_blob([large])
    blobs.flips = [CHUNK_SIZE + 5, CHUNK_SIZE + 5]
    with pytest.raises(IntegrityError, match=rf"{kept.hex}.*memory://unnamed.*chunk 1 \(bytes {CHUNK_SIZE} to"):
        content.read_blob(kept.hex, SIZE)


@pytest.mark.parametrize("change", ["shorter", "longer", "empty", "swapped"])
def test_other_bytes_under_a_digest_are_found(large, change):
    """A blob that was cut, extended or swapped with another valid one is never handed out."""
    blobs = MemoryBlobs()
    content = ContentStore(blobs, KEYS)
    for data in (large, b"small"):
        kept = content.put_blob([data])
        other = {"shorter": data[:-1], "longer": data + b"x", "empty": b"", "swapped": bytes(len(data))}[change]
        blobs.put(KEYS.blob(kept.hex), [other])
        with pytest.raises(IntegrityError, match=kept.hex):
            content.read_blob(kept.hex, len(data))


def test_a_wrong_size_is_found(large):
    """A record that names the wrong size for a digest gets an error and not the bytes, also across one chunk."""
    content = ContentStore(MemoryBlobs(), KEYS)
    for data in (large, b"small", b""):
        kept = content.put_blob([data])
        for size in {0, 1, len(data) + 1, len(data) - 1, CHUNK_SIZE, CHUNK_SIZE + 1, SIZE - CHUNK_SIZE, 10**15}:
            if size != len(data):
                with pytest.raises(IntegrityError):
                    content.read_blob(kept.hex, size)


def test_damaged_or_missing_chunk_digests_are_found(large):
    """A large blob whose list of chunk digests is damaged or gone is not handed out."""
    blobs = MemoryBlobs()
    content = ContentStore(blobs, KEYS)
    kept = content.put_blob([large])
    for damaged in (kept.chunk_digests[:-32], kept.chunk_digests + bytes(32), bytes(96), b""):
        blobs.put(KEYS.chunks(kept.hex), [damaged])
        with pytest.raises(IntegrityError, match=r"list of chunk digests .*\.chunks.* is damaged"):
            content.read_blob(kept.hex, SIZE)
    blobs.delete([KEYS.chunks(kept.hex)])
    with pytest.raises(IntegrityError, match=r"\.chunks' is missing"):
        content.read_blob(kept.hex, SIZE)
    blobs.delete([KEYS.blob(kept.hex)])
    with pytest.raises(NotFoundError, match="holds nothing under"):
        content.read_blob(kept.hex, SIZE)


def test_what_was_removed_can_be_made_again(tmp_path):
    """The advice of an IntegrityError works: remove the blob, run again, and it is whole."""
    blobs = open_blobs(tmp_path / "store")
    content = ContentStore(blobs, KEYS)
    kept = content.put_blob([b"right"])
    blobs.put(KEYS.blob(kept.hex), [b"wrong"])
    with pytest.raises(IntegrityError, match="Remove it and run again"):
        content.read_blob(kept.hex, 5)
    blobs.delete([KEYS.blob(kept.hex)])
    content.put_blob([b"right"])
    assert content.read_blob(kept.hex, 5) == b"right"


def test_random_bytes_have_no_blob(tmp_path):
    """What was never put is not found, and a digest that is none is refused."""
    content = ContentStore(open_blobs(tmp_path / "store"), KEYS)
    with pytest.raises(NotFoundError):
        content.read_blob(os.urandom(32).hex(), 5)
    with pytest.raises(StoreError, match="is not a digest"):
        content.read_blob("../../etc/passwd", 5)


def test_a_blob_is_copied_into_a_file_chunk_by_chunk(tmp_path, large):
    """Small and large ones come whole, also into a file that held more before."""
    content = ContentStore(open_blobs(tmp_path / "store"), KEYS)
    path = tmp_path / "copy"
    path.write_bytes(bytes(SIZE + 10))
    for data in (large, b"", b"x", large[:CHUNK_SIZE], large[: CHUNK_SIZE + 1]):
        kept = content.put_blob([data])
        content.copy_blob(kept.hex, len(data), path)
        assert path.read_bytes() == data


def test_a_chunk_that_is_copied_is_verified_and_fetched_again_alone(tmp_path, large):
    """A byte that flips once on the way is read again; one that is wrong in the store is an error."""
    blobs = FlakyBlobs()
    content = ContentStore(blobs, KEYS)
    kept = content.put_blob([large])
    read, reads = blobs.read, []

    def flips_once(key, start=0, length=None):
        data = read(key, start, length)
        if start == CHUNK_SIZE and start not in reads:
            data[5] ^= 1
        reads.append(start)
        return data

    blobs.read = flips_once
    content.copy_blob(kept.hex, SIZE, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large
    assert sorted(reads) == [0, CHUNK_SIZE, CHUNK_SIZE, 2 * CHUNK_SIZE]
    damaged = bytearray(large)
    damaged[CHUNK_SIZE + 7] ^= 1
    blobs.put(KEYS.blob(kept.hex), [bytes(damaged)])
    with pytest.raises(IntegrityError, match=r"chunk 1 .*also when read again"):
        content.copy_blob(kept.hex, SIZE, tmp_path / "copy")
    blobs.put(KEYS.blob(kept.hex), [large[: CHUNK_SIZE * 2]])
    with pytest.raises(IntegrityError, match="chunk 2"):
        content.copy_blob(kept.hex, SIZE, tmp_path / "copy")
