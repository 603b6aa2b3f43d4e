"""The environment archive: a folder as one file, the same bytes for the same files, made and unpacked on all processors.

    magic · blocks · index (JSON, compressed) · length of the index (8 bytes, big-endian)

The files lie one behind the other in the order of their names, and that stream is cut into blocks of 4 MiB, each compressed
by itself. So blocks are packed and unpacked independently of each other, and many small files compress as well as few large ones.
``docs/design/environments.md`` has the measurements behind it.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeVar

from pyflow.errors import IntegrityError
from pyflow.late import late

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

T = TypeVar("T")
R = TypeVar("R")

MAGIC: Final = b"pyflow environment 1\n"
BLOCK_SIZE: Final = 4 * 1024 * 1024
# Above it the archive shrinks by a few per cent, and packing takes three times as long.
LEVEL: Final = 3
_LENGTH_BYTES: Final = 8
# Of an environment with half a million files; read, it takes some ten times as much memory.
_MOST_INDEX_BYTES: Final = 64 * 1024 * 1024
_THREADS: Final = min(8, os.cpu_count() or 1)


class Member(NamedTuple):
    """One file of an environment."""

    path: str
    size_bytes: int
    is_executable: bool


class Contents(NamedTuple):
    """What an archive says that it holds."""

    members: list[Member]
    block_sizes: list[int]
    """Of the compressed blocks, in their order."""

    @property
    def size_bytes(self) -> int:
        """Of the files, unpacked."""
        return sum(member.size_bytes for member in self.members)


def write_archive(folder: Path, archive: BinaryIO) -> Contents:
    """Write all files below a folder. It takes the memory of a few blocks.

    Compiled Python files stay behind, for they depend on the moment, and so do links, of which wheels have none.
    """
    members = sorted(_members_below(folder), key=lambda member: member.path)
    archive.write(MAGIC)
    sizes = [
        archive.write(block)
        for block in _in_threads(_compress, _cut([(folder / m.path, m.size_bytes) for m in members]))
    ]
    index = {"files": [[m.path, m.size_bytes, int(m.is_executable)] for m in members], "blocks": sizes}
    packed = zlib.compress(json.dumps(index, separators=(",", ":")).encode(), LEVEL)
    archive.write(packed)
    archive.write(len(packed).to_bytes(_LENGTH_BYTES, "big"))
    return Contents(members, sizes)


def read_contents(archive: Path) -> Contents:
    """What an archive holds.

    Raises:
        IntegrityError: It is not one that pyflow wrote: a name leads outside or comes twice, sizes do not fit.
    """
    try:
        with archive.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError("it begins otherwise")
            end = file.seek(-_LENGTH_BYTES, os.SEEK_END)
            length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
            if length > min(_MOST_INDEX_BYTES, end - len(MAGIC)):
                raise ValueError("its index is longer than itself")
            file.seek(end - length)
            index = json.loads(_unzipped(file.read(length), _MOST_INDEX_BYTES))
        contents = Contents([_member(*entry) for entry in index["files"]], list(map(_size, index["blocks"])))
        if len(MAGIC) + sum(contents.block_sizes) + length != end:
            raise ValueError("its blocks do not make its length")
        _check(contents)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise IntegrityError(
            f"The environment archive '{archive.name}' is not one that pyflow wrote: {error}."
        ) from error
    return contents


def unpack_archive(archive: Path, contents: Contents, into: Path) -> None:
    """Make the files of an archive below a folder that exists.

    Raises:
        IntegrityError: A block is not what the index says.
        OSError: The disk did not take it.
    """
    for folder in sorted({os.path.dirname(member.path) for member in contents.members}):  # noqa: PTH120  it is text
        (into / folder).mkdir(parents=True, exist_ok=True)
    for member in contents.members:
        if not member.size_bytes:
            os.close(_opened(member, into))
    fd = os.open(archive, os.O_RDONLY)
    try:
        starts = accumulate(contents.block_sizes, initial=len(MAGIC))
        work = zip(starts, contents.block_sizes, _pieces_of_blocks(contents.members), strict=False)

        def unpack(one: tuple[int, int, list[_Piece]]) -> None:
            start, size, pieces = one
            _write_block(os.pread(fd, size, start), pieces, into)

        for _ in _in_threads(unpack, work):
            pass
    except (zlib.error, ValueError) as error:
        raise IntegrityError(f"The environment archive '{archive.name}' has a damaged block: {error}.") from error
    finally:
        os.close(fd)


class _Piece(NamedTuple):
    """The part of a file that lies in one block."""

    member: Member
    offset: int
    """In the file."""
    length: int


def _pieces_of_blocks(members: Iterable[Member]) -> Iterator[list[_Piece]]:
    """For each block, the parts of files in it. Files without bytes are in none."""
    pieces: list[_Piece] = []
    room = BLOCK_SIZE
    for member in members:
        offset = 0
        while offset < member.size_bytes:
            length = min(room, member.size_bytes - offset)
            pieces.append(_Piece(member, offset, length))
            offset += length
            room -= length
            if room == 0:
                yield pieces
                pieces, room = [], BLOCK_SIZE
    if pieces:
        yield pieces


def _write_block(packed: bytes, pieces: Sequence[_Piece], into: Path) -> None:
    expected = sum(piece.length for piece in pieces)
    data = memoryview(_unzipped(packed, expected))
    if len(data) != expected:
        raise IntegrityError(f"A block of an environment archive has {len(data)} bytes, and its index says {expected}.")
    start = 0
    for piece in pieces:
        fd = _opened(piece.member, into)
        try:
            rest, at = data[start : start + piece.length], piece.offset
            while rest:
                written = os.pwrite(fd, rest, at)
                rest, at = rest[written:], at + written
        finally:
            os.close(fd)
        start += piece.length


def _opened(member: Member, into: Path) -> int:
    """The file of a member. Several blocks may hold parts of one, in whatever order they come to be unpacked."""
    return os.open(into / member.path, os.O_WRONLY | os.O_CREAT, 0o755 if member.is_executable else 0o644)


def _unzipped(packed: bytes, most: int) -> bytes:
    """Some bytes decompressed; one more than the most when there are more."""
    stream = zlib.decompressobj()
    data = stream.decompress(packed, most + 1)
    if not stream.eof and len(data) <= most:
        raise ValueError("a compressed part ends too early")
    return data


def _member(path: object, size: object, is_executable: object) -> Member:
    if not isinstance(path, str) or not all(
        part not in {"", ".", ".."} and "\0" not in part for part in path.split("/")
    ):
        raise ValueError(f"it names a file {path!r:.200}")
    path.encode()  # half of a pair of surrogates is no name
    return Member(path, _size(size), bool(is_executable))


def _size(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.200} is not a size")
    return value


def _check(contents: Contents) -> None:
    files = {member.path for member in contents.members}
    if len(files) != len(contents.members):
        raise ValueError("it names a file twice")
    folders = {folder for path in files for folder in _folders_above(path)}
    if both := sorted(files & folders):
        raise ValueError(f"{both[0]!r:.200} is a file and a folder")
    if len(contents.block_sizes) != -(-contents.size_bytes // BLOCK_SIZE) and contents.size_bytes:
        raise ValueError("its files do not make its blocks")


def _folders_above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _members_below(folder: Path, prefix: str = "") -> Iterator[Member]:
    for entry in os.scandir(folder):
        if entry.is_symlink() or entry.name == "__pycache__" or entry.name.endswith(".pyc"):
            continue
        if entry.is_dir():
            yield from _members_below(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            status = entry.stat()
            yield Member(prefix + entry.name, status.st_size, bool(status.st_mode & stat.S_IXUSR))


def _cut(files: Sequence[tuple[Path, int]]) -> Iterator[bytes]:
    """The bytes of these files, one behind the other, in blocks."""
    held = bytearray()
    for path, size_bytes in files:
        with path.open("rb") as file:
            while piece := file.read(BLOCK_SIZE - len(held)):
                held += piece
                size_bytes -= len(piece)  # noqa: PLW2901  what is left of it
                if len(held) == BLOCK_SIZE:
                    yield bytes(held)
                    held.clear()
        if size_bytes:
            raise OSError(f"{path} changed while it was packed.")
    if held:
        yield bytes(held)


def _compress(block: bytes) -> bytes:
    return zlib.compress(block, LEVEL)


def _in_threads(do: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What ``do`` gives for each item, in their order; a few are under way at any time. zlib lets other threads run."""
    with futures.ThreadPoolExecutor(_THREADS) as threads:
        waiting: deque[futures.Future[R]] = deque()
        try:
            for item in items:
                waiting.append(threads.submit(do, item))
                if len(waiting) > 2 * _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
