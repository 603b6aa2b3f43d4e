"""The address of bytes depends on the bytes alone, and each chunk can be checked by itself."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow.digest import CHUNK_SIZE, DIGEST_BYTES, bad_chunks, chunks_of, digest_of, is_digest, sha256_hex

LARGE = bytes(CHUNK_SIZE) + b"b" * CHUNK_SIZE + b"the rest"
"""Two chunks, and the beginning of a third."""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_small_blob_has_the_digest_of_its_bytes(parts):
    """``sha256sum`` gives the address of what one chunk holds, however it was put together."""
    whole = b"".join(parts)
    found = digest_of([memoryview(part) for part in parts])
    assert (found.hex, found.size_bytes, found.chunk_digests) == (hashlib.sha256(whole).hexdigest(), len(whole), b"")
    assert sha256_hex(whole) == found.hex


def test_one_full_chunk_is_still_small():
    """The longer form begins with the first byte that one chunk has no room for."""
    full = bytes(CHUNK_SIZE)
    assert digest_of([full]).hex == sha256_hex(full)
    assert digest_of([full]).chunk_digests == b""
    assert digest_of([full, b"1"]).chunk_digests == sha256(full) + sha256(b"1")


def test_a_large_blob_has_the_digest_of_its_chunks_digests():
    """So that each chunk can be checked alone, and all of them by the address."""
    chunks = sha256(LARGE[:CHUNK_SIZE]) + sha256(LARGE[CHUNK_SIZE : 2 * CHUNK_SIZE]) + sha256(b"the rest")
    found = digest_of([LARGE])
    assert (found.hex, found.size_bytes, found.chunk_digests) == (sha256_hex(chunks), len(LARGE), chunks)


@pytest.mark.parametrize("cuts", [[0], [1], [CHUNK_SIZE], [CHUNK_SIZE - 1, CHUNK_SIZE + 1], [5, 5, 2 * CHUNK_SIZE + 3]])
def test_the_parts_do_not_matter(cuts):
    """The same bytes have the same address wherever they are cut, also inside a chunk or into nothing."""
    ends = [*cuts, len(LARGE)]
    parts = [LARGE[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert digest_of(parts) == digest_of([LARGE])


def test_elements_of_any_size_are_bytes():
    """A view of numbers is the bytes that it covers."""
    numbers = memoryview(bytes(range(16))).cast("i", (2, 2))
    assert digest_of([numbers]) == digest_of([bytes(range(16))])
    assert b"".join(piece for chunk in chunks_of([numbers]) for piece in chunk) == bytes(range(16))


def test_chunks_are_not_copied():
    """The pieces are views of the parts themselves, and all chunks but the last are full."""
    data = bytearray(LARGE)
    chunks = list(chunks_of([memoryview(data)[:7], memoryview(data)[7:]]))
    assert [sum(map(len, chunk)) for chunk in chunks] == [CHUNK_SIZE, CHUNK_SIZE, len(b"the rest")]
    assert all(piece.obj is data for chunk in chunks for piece in chunk)


def test_no_bytes_make_no_chunk():
    """Nothing, in no part or in empty ones, has the digest of nothing."""
    assert list(chunks_of([])) == list(chunks_of([b"", b""])) == []
    assert digest_of([]) == digest_of([b""])
    assert digest_of([]).hex == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    ("data", "bad"),
    [
        (LARGE, []),
        (b"x" + LARGE[1:], [0]),
        (LARGE[:-1], [2]),
        (LARGE[: 2 * CHUNK_SIZE], [2]),
        (LARGE[: CHUNK_SIZE + 1], [1, 2]),
        (LARGE + bytes(CHUNK_SIZE), [2, 3]),
        (b"", [0, 1, 2]),
    ],
    ids=["whole", "first byte", "last byte", "last chunk gone", "cut short", "too long", "nothing"],
)
def test_bad_chunks_are_found_by_index(data, bad):
    """Changed, missing and surplus chunks are named, and no others."""
    assert bad_chunks(memoryview(data), digest_of([LARGE]).chunk_digests) == bad


@pytest.mark.parametrize(
    "text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "é" * 64, "٣" * 64, "../" + "a" * 61, "a" * 63 + "\n"]
)
def test_only_lower_case_hexadecimal_digits_are_a_digest(text):
    """Nothing else may become a part of a key."""
    assert not is_digest(text)
    assert is_digest(sha256_hex(text.encode()))
    assert len(sha256_hex(b"")) == 2 * DIGEST_BYTES


def test_threads_are_loaded_for_large_blobs_only():
    """Most processes never hash two chunks, and do not pay for a pool of threads."""
    code = """
import sys
from pyflow.digest import CHUNK_SIZE, digest_of
digest_of([bytes(CHUNK_SIZE)])
print("concurrent.futures" in sys.modules)
digest_of([bytes(CHUNK_SIZE + 1)])
print("concurrent.futures" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
