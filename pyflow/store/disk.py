"""The few file-system calls that the folder store is made of.

What they mean for keys, and which words an ``OSError`` gets, is for ``folder.py`` to say.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import sys
import weakref
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pyflow.digest import Buffer
from pyflow.late import late

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = late("ctypes")

# One write call copies at most this much, so that a signal (Ctrl-C) is answered in time.
WRITE_SIZE: Final = 16 * 1024 * 1024

# Below this a copy is cheaper than the page faults of a mapping.
MAP_FROM: Final = 64 * 1024

# Python before 3.13 keeps a file descriptor open for every mapping. A process may often have only 1024 of
# them, and most are the user's: beyond this many mappings, blobs below one chunk are copied instead.
MOST_MAPPINGS: Final = 256
ALWAYS_MAP_FROM: Final = 16 * 1024 * 1024

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

# Somebody who deletes keys may remove a folder right after it was made for another one. Each turn that is
# lost this way means that the other made progress, so that a hundred in a row do not happen by chance.
MOST_TRIES: Final = 100

_live_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def make_folder(path: str, *, tries: int = MOST_TRIES) -> None:
    """Make a folder and what is missing above it, all closed to other users; fine when it exists."""
    try:
        os.mkdir(path, FOLDER_MODE)
    except FileExistsError:
        # It may also be gone again by now: then the caller, who cannot write into it, asks once more.
        if os.path.lexists(path) and not os.path.isdir(path):
            raise
    except FileNotFoundError:
        if not tries:
            raise
        make_folder(os.path.dirname(path))
        make_folder(path, tries=tries - 1)


def write_all(fd: int, parts: Sequence[Buffer]) -> None:
    """Write the parts one after the other, without copying the large ones."""
    for piece in _pieces(parts):
        rest = piece
        while rest.nbytes:
            rest = rest[os.write(fd, rest[:WRITE_SIZE]) :]


def _pieces(parts: Sequence[Buffer]) -> Iterator[memoryview]:
    views = [memoryview(part) for part in parts]
    if sum(view.nbytes for view in views) <= MAP_FROM:
        yield memoryview(b"".join(views))
        return
    for view in views:
        if view.nbytes:
            yield view.cast("B")


def read_range(fd: int, start: int, end: int) -> bytes:
    """The bytes from ``start`` to ``end``, or to the end of the file when that comes first."""
    first = os.pread(fd, end - start, start) if end > start else b""
    if not first or len(first) == end - start:
        return first
    blocks = [first]
    position = start + len(first)
    # One call answers at most 2 GiB (Linux), and less when a signal comes.
    while position < end:
        block = os.pread(fd, end - position, position)
        if not block:
            break
        blocks.append(block)
        position += len(block)
    return b"".join(blocks)


def private_view(fd: int, start: int, length: int | None) -> memoryview:
    """A part of an open file as a buffer of the caller's own: mapped when large, else copied.

    Writing to a mapping changes neither the file nor any other mapping. A file that somebody cuts short
    while it is mapped ends the reader with SIGBUS; blobs are never changed in place, and the folder is
    closed to other users, so that takes the user's own hand.
    """
    size_bytes = os.fstat(fd).st_size
    end = size_bytes if length is None else min(size_bytes, start + length)
    wanted = max(0, end - start)
    if wanted >= MAP_FROM and (wanted >= ALWAYS_MAP_FROM or _may_map()):
        return _map(fd, start, wanted)
    return memoryview(bytearray(read_range(fd, start, end)))


def _may_map() -> bool:
    return sys.version_info >= (3, 13) or len(_live_mappings) < MOST_MAPPINGS


def _map(fd: int, start: int, length: int) -> memoryview:
    before = start % mmap.ALLOCATIONGRANULARITY
    if sys.version_info >= (3, 13):
        mapping = mmap.mmap(fd, before + length, access=mmap.ACCESS_COPY, offset=start - before, trackfd=False)
    else:
        mapping = mmap.mmap(fd, before + length, access=mmap.ACCESS_COPY, offset=start - before)
        _live_mappings.add(mapping)
    return memoryview(mapping)[before:]


def remove(path: str) -> None:
    """Remove a file; fine when there is none."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def is_file(info: os.stat_result) -> bool:
    """True for a plain file: not a folder, link, pipe or device."""
    return stat.S_ISREG(info.st_mode)


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def sync_file_system(folder: str) -> None:
    """Return when all that was written to the folder's file system is on its disk, whoever wrote it.

    ``syncfs(2)`` rather than an ``fsync`` per file: workers write files that this process never opened,
    and the time goes by data and not by files: one call for a thousand new files took 12 ms where an fsync
    for each of a hundred took 35 ms (ext4), and with nothing to write 0.3 ms. The price is that other
    programs' unwritten data on the same file system is written too.
    """
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc().syncfs(fd) != 0:
            error = ctypes.get_errno()
            if error != errno.ENOSYS:  # some sandboxes lack the call
                raise OSError(error, os.strerror(error), folder)
            os.sync()
    finally:
        os.close(fd)
