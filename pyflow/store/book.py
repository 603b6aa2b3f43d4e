r"""The book of commits of one run, as one file to which every process appends.

The theory. ``O_APPEND`` gives all writers of a file one order, also those in other processes, and each
``write`` is whole for the others unless its writer dies in the middle or the disk is full. So *the first
valid record of a slot in the file wins*, and all readers agree on it, because bytes that are followed by a
newline never change. A record is one line, written by one call::

    \n <slot> \t <crc32 of slot and record, 8 hex digits> \t <record> \n

The leading newline closes whatever a dead writer left behind, so that a torn record damages itself alone.
A torn record may lack nothing but its last newline; then the next record's leading newline makes it valid,
and it counts from there on. That is sound: nobody was told anything about it before, and whoever commits
reads forward to the end of its own record and so finds it first.

The checksum is against torn writes, not against tampering: commits carry a signature, which is for the layers above. They say
which records may hold; *the first one that may* wins, so that a line of somebody else's keeps no slot. All records of a slot are
indexed for that; more than one are few.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from pyflow.errors import StoreError
from pyflow.failpoints import reached
from pyflow.store.disk import FILE_MODE, MOST_TRIES, read_range
from pyflow.store.protocol import Judge, anything

_SMALL_BLOCK: Final = 64 * 1024
_LARGE_BLOCK: Final = 1024 * 1024
_SEARCHES: Final = 2
"""So often a file is searched for one record before it is indexed: an index of many records for one of them would cost fifty times as much."""

Place = tuple[int, int]
"""Where a record lies in the file: offset and length."""


def encode_line(slot: str, record: bytes) -> bytes:
    """The bytes that commit a record when they are appended to the book."""
    name = slot.encode()
    return b"\n%b\t%08x\t%b\n" % (name, zlib.crc32(record, zlib.crc32(name)), record)


def decode_line(line: bytes) -> tuple[str, bytes] | None:
    """Slot and record of a line without its newlines; None when it is not what somebody wrote whole."""
    name, _, rest = line.partition(b"\t")
    checksum, tab, record = rest.partition(b"\t")
    if not tab or checksum != b"%08x" % zlib.crc32(record, zlib.crc32(name)):
        return None
    return name.decode("ascii", "replace"), record


class Book:
    """One book of commits: the file, and an index of what this process has read of it."""

    def __init__(self, path: str, make_parent: Callable[[], None]) -> None:
        self._path = path
        self._make_parent = make_parent
        self._lock = threading.Lock()
        self._fd = -1
        self._appends = False
        self._read_to = 0
        self._first: dict[str, Place] = {}
        self._later: dict[str, list[Place]] = {}
        self._damaged: list[int] = []
        self._searches_left = _SEARCHES

    def commit(self, slot: str, record: bytes, accepts: Judge = anything) -> bytes:
        """Append the record unless the slot has one that may hold; the record that holds."""
        with self._lock:
            held = self._held(slot, accepts)
            if held is None:
                reached("append.before")
                end = self._append(encode_line(slot, record))
                reached("append.after")
                mine = end - 1 - len(record), len(record)
                if self._read_to == end:
                    self._note(slot, mine)
                    return record
                self._read_on(end)
                if self._first.get(slot) == mine:
                    return record  # others have written meanwhile, of other slots
                held = self._held(slot, accepts)
            if held is None:
                raise self._vanished(slot)
            return held

    def committed(self, slot: str, accepts: Judge = anything) -> bytes | None:
        """The record that holds for a slot, by all that the file says now."""
        with self._lock:
            held = self._held(slot, accepts)
            if held is None and self._searches_left and not self._appends:
                self._searches_left -= 1
                return self._searched(slot, accepts)
            if held is None:
                self._read_on()
                held = self._held(slot, accepts)
            return held

    def slots(self) -> list[str]:
        """All slots that have a record now, in the order of their commits."""
        with self._lock:
            self._read_on()
            return list(self._first)

    def records(self, slot: str) -> list[bytes]:
        """All records of a slot, in their order."""
        with self._lock:
            self._read_on()
            return [self._record(place) for place in self._places(slot)]

    def damaged(self) -> list[int]:
        """Offsets of the lines that are not whole records."""
        with self._lock:
            self._read_on()
            return list(self._damaged)

    def _append(self, line: bytes) -> int:
        """Append a line; where it ends. When nothing but it is new, it counts as read.

        A short write leaves a torn record, which the next leading newline closes, so it is simply
        written again; on a full disk the second try raises.
        """
        fd = self._open_to_append()
        while os.write(fd, line) != len(line):
            pass
        # With O_APPEND the position after a write is the end of what it wrote, and this descriptor is
        # ours alone: nobody moves it between the two calls.
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if end - len(line) == self._read_to:
            self._read_to = end
        return end

    def _read_on(self, end: int | None = None) -> None:
        """Index the whole lines that were added since the last time, to ``end`` or the end of the file."""
        for lines in self._lines(end):
            self._index(lines)

    def _searched(self, slot: str, accepts: Judge) -> bytes | None:
        """The record that holds, among those that are not indexed."""
        start = b"\n%b\t" % slot.encode()
        for piece in self._lines():
            lines = b"\n" + piece
            at = lines.find(start)
            while at >= 0:
                end = lines.index(b"\n", at + 1)
                decoded = decode_line(lines[at + 1 : end])
                if decoded is not None and accepts(slot, decoded[1]):
                    return decoded[1]
                at = lines.find(start, end)
        return None

    def _lines(self, end: int | None = None) -> Iterator[bytes]:
        """The whole lines that are not indexed, to ``end`` or the end of the file, in large pieces."""
        if not self._open_to_read():
            return
        size, at = _SMALL_BLOCK, self._read_to
        while end is None or at < end:
            block = os.pread(self._fd, size, at)
            whole = block.rfind(b"\n") + 1
            yield block[:whole]
            at += whole
            if len(block) < size:
                return
            size = size * 2 if not whole else max(size, _LARGE_BLOCK)

    def _index(self, lines: bytes) -> None:
        for line in lines.split(b"\n")[:-1]:
            decoded = decode_line(line) if line else None
            if decoded is not None:
                slot, record = decoded
                self._note(slot, (self._read_to + len(line) - len(record), len(record)))
            elif line:
                self._damaged.append(self._read_to)
            self._read_to += len(line) + 1

    def _note(self, slot: str, place: Place) -> None:
        if self._first.setdefault(slot, place) is not place:
            self._later.setdefault(slot, []).append(place)

    def _places(self, slot: str) -> list[Place]:
        first = self._first.get(slot)
        return [] if first is None else [first, *self._later.get(slot, ())]

    def _held(self, slot: str, accepts: Judge) -> bytes | None:
        """The record that holds, by what was read so far."""
        if slot in self._first:
            for place in self._places(slot):
                record = self._record(place)
                if accepts(slot, record):
                    return record
        return None

    def _vanished(self, slot: str) -> StoreError:
        return StoreError(
            f"The record of slot {slot!r} that was just appended to {self._path} is not in it: another program "
            "changed the file, or the drive lost it. What was committed before cannot be trusted; run again."
        )

    def _record(self, place: Place) -> bytes:
        offset, length = place
        record = os.pread(self._fd, length, offset)
        return record if len(record) == length else read_range(self._fd, offset, offset + length)

    def _open_to_read(self) -> bool:
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def _open_to_append(self) -> int:
        if not self._appends:
            fd = open_to_append(self._path, self._make_parent)
            self.close()
            self._fd, self._appends = fd, True
        return self._fd

    def close(self) -> None:
        """Let go of the file; only for one who knows that nobody uses the book."""
        fd, self._fd, self._appends = self._fd, -1, False
        if fd >= 0:
            os.close(fd)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._fd >= 0:
            close(self._fd)  # bound above: what is left at the end of the process finds ``os`` gone


def open_to_append(path: str, make_parent: Callable[[], None]) -> int:
    """A descriptor whose every write goes to the end of the file; the file and its folder are made."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    for _ in range(MOST_TRIES):
        try:
            return os.open(path, flags, FILE_MODE)
        except FileNotFoundError:
            make_parent()
    return os.open(path, flags, FILE_MODE)
