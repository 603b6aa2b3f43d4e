"""The archive gives back the same files, has the same bytes for them, and believes nothing that it is told."""

from __future__ import annotations

import os
import zlib

import pytest

from pyflow.environments import archive as module
from pyflow.environments.archive import BLOCK_SIZE, MAGIC, read_contents, unpack_archive, write_archive
from pyflow.errors import IntegrityError


def packed(folder, path):
    with path.open("wb") as file:
        write_archive(folder, file)
    return path


def files_below(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_files_come_back_as_they_were(tmp_path, make_tree):
    """Small, empty and large files, and which of them may be executed: all is as it was."""
    files = {
        "a/__init__.py": b"",
        "a/deep/er/data.bin": os.urandom(2 * BLOCK_SIZE + 17),
        "bin/tool": b"#!/usr/bin/env python3\n",
        "b.py": b"x = 1\n" * 1000,
        "c/exact.bin": bytes(BLOCK_SIZE),
        "ü.txt": "naïve".encode(),
        "z/empty": b"",
    }
    tree = make_tree(files)
    (tree / "bin/tool").chmod(0o755)
    archive = packed(tree, tmp_path / "archive")
    contents = read_contents(archive)
    assert contents.size_bytes == sum(map(len, files.values()))
    (tmp_path / "out").mkdir()
    unpack_archive(archive, contents, tmp_path / "out")
    assert files_below(tmp_path / "out") == files
    assert os.access(tmp_path / "out/bin/tool", os.X_OK)
    assert not os.access(tmp_path / "out/b.py", os.X_OK)


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_a_file_may_end_anywhere_in_a_block(tmp_path, make_tree, size):
    """A file as long as a block, a byte less or a byte more comes back whole, and so does an empty one behind it."""
    files = {"a": os.urandom(size), "b": b""} | ({"c": b"more"} if size % 2 else {})
    archive = packed(make_tree(files), tmp_path / "archive")
    (tmp_path / "out").mkdir()
    unpack_archive(archive, read_contents(archive), tmp_path / "out")
    assert files_below(tmp_path / "out") == files


def test_the_same_files_are_the_same_bytes(tmp_path, make_tree):
    """Times, the order of making and compiled files have no say."""
    one = make_tree({"a.py": b"1", "b/c.py": b"2"}, "one")
    other = make_tree({"b/c.py": b"2", "b/__pycache__/c.pyc": b"compiled", "a.py": b"1"}, "other")
    os.utime(other / "a.py", (1, 1))
    assert packed(one, tmp_path / "x").read_bytes() == packed(other, tmp_path / "y").read_bytes()


def test_an_empty_folder_is_an_archive_too(tmp_path, make_tree):
    """Packages may be none at all."""
    (tmp_path / "empty").mkdir()
    archive = packed(tmp_path / "empty", tmp_path / "archive")
    assert read_contents(archive).members == []


def with_index(path, index: bytes, blocks: bytes = b""):
    squeezed = zlib.compress(index)
    path.write_bytes(MAGIC + blocks + squeezed + len(squeezed).to_bytes(8, "big"))
    return path


BLOCK = zlib.compress(b"evil")


@pytest.mark.parametrize(
    "index",
    [
        b'{"files":[["../up",4,0]],"blocks":[%d]}',
        b'{"files":[["/etc/up",4,0]],"blocks":[%d]}',
        b'{"files":[["a//b",4,0]],"blocks":[%d]}',
        b'{"files":[["a",2,0],["a",2,0]],"blocks":[%d]}',
        b'{"files":[["a",-4,0]],"blocks":[%d]}',
        b'{"files":[["a",9000000,0]],"blocks":[%d]}',
        b'{"files":[["a",4,0]],"blocks":[%d,1]}',
        b'{"files":7,"blocks":[%d]}',
        b'{"blocks":[%d]}',
        b"[%d]",
        b"not json %d",
    ],
)
def test_an_index_that_pyflow_did_not_write_is_refused(tmp_path, index):
    """Names that lead outside, come twice, or sizes that do not fit: nothing is unpacked."""
    with pytest.raises(IntegrityError, match="not one that pyflow wrote"):
        read_contents(with_index(tmp_path / "archive", index % len(BLOCK), BLOCK))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", MAGIC, MAGIC + b"\xff" * 8, MAGIC + bytes(8)])
def test_what_is_no_archive_is_refused(tmp_path, data):
    """Other files, and beginnings of archives, are no archives."""
    (tmp_path / "archive").write_bytes(data)
    with pytest.raises(IntegrityError):
        read_contents(tmp_path / "archive")


def test_a_block_that_holds_more_than_it_says_is_refused(tmp_path):
    """A bomb goes off in at most one byte too many."""
    bomb = zlib.compress(bytes(50_000_000))
    archive = with_index(tmp_path / "archive", b'{"files":[["a",4,0]],"blocks":[%d]}' % len(bomb), bomb)
    (tmp_path / "out").mkdir()
    with pytest.raises(IntegrityError, match="5 bytes, and its index says 4"):
        unpack_archive(archive, read_contents(archive), tmp_path / "out")


def test_a_damaged_block_is_found(tmp_path, make_tree):
    """A flipped bit in a block is an integrity error, also without the digest around it."""
    archive = packed(make_tree({"a": bytes(range(256)) * 100}), tmp_path / "archive")
    data = bytearray(archive.read_bytes())
    data[len(MAGIC) + 20] ^= 1
    archive.write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(IntegrityError):
        unpack_archive(archive, read_contents(archive), tmp_path / "out")


def test_it_takes_few_blocks_of_memory(tmp_path, make_tree, monkeypatch):
    """However large the environment is, a handful of blocks is under way at any time."""
    monkeypatch.setattr(module, "BLOCK_SIZE", 1000)
    alive = most = 0
    squeeze = module._compress

    def counting(block):
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        try:
            return squeeze(block)
        finally:
            alive -= 1

    monkeypatch.setattr(module, "_compress", counting)
    archive = packed(make_tree({"a": os.urandom(200_000)}), tmp_path / "archive")
    assert len(read_contents(archive).block_sizes) == 200
    assert most <= module._THREADS
