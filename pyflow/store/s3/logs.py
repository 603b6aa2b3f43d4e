"""Logs in a bucket: ``<key>/<offset>``, immutable segments of one writer each, named by where they start.

What is appended is gathered in memory and written as a segment at most once a second, when it is much, or when
somebody asks for it. A reader takes the segments in their order, up to the first that is missing. Every so often, and when it
is sealed, a log is written once more as one object, ``<key>/-whole``, which comes first in a listing: who reads takes that, and then
the few segments behind it. The others stay, since somebody may be reading them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

from pyflow.digest import Buffer
from pyflow.late import late
from pyflow.store.protocol import BlobInfo
from pyflow.store.s3.bucket import Bucket

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

_DIGITS: Final = 16
_WHOLE: Final = "-whole"
_MUCH: Final = 256 * 1024
_INTERVAL_S: Final = 1.0

# A reader who knows where to start need not list what lies further back than the longest segment.
_LONGEST: Final = 1024 * 1024
_READERS: Final = 8

# What its writer remembers of a log, to seal it without reading it again. Ten thousand tasks have 3 MB of events.
_MOST_KEPT: Final = 4 * 1024 * 1024

# A reader takes fewer segments than this; the writer sends one request more for each so many.
_EVERY: Final = 32

# So many requests for a log that was not sealed cost no more than the one that seals it.
_FEW: Final = 2


class LogWriter:
    """The end of one log, as its writer knows it.

    Args:
        start: Where it is; None: to be looked for.
    """

    def __init__(self, bucket: Bucket, key: str, now: Callable[[], float], start: int | None = None) -> None:
        self._bucket = bucket
        self._key = key
        self._now = now
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._start = start
        self._count = 0
        self._written: bytearray | None = bytearray()
        self._pending = bytearray()
        self._written_at = float("-inf")

    def append(self, data: Buffer) -> int:
        """Add bytes; where they start. When they cannot be written now though they must, they are not added."""
        if self._start is None:
            self._find_end()
        with self._lock:
            start = self._end()
            self._pending += data
            is_due = len(self._pending) >= _MUCH or self._now() - self._written_at >= _INTERVAL_S
        if is_due:
            try:
                self.write()
            except BaseException:
                with self._lock:
                    del self._pending[max(start - self._begin(), 0) :]
                raise
        return start

    def write(self) -> None:
        """Write what has gathered."""
        with self._writing:
            while self._pending:
                with self._lock:
                    piece, start = bytes(self._pending[:_LONGEST]), self._begin()
                # Written again after a lost answer it is the same object with the same bytes.
                self._bucket.put(segment(self._key, start), [piece])
                with self._lock:
                    del self._pending[: len(piece)]
                    self._start = start + len(piece)
                    self._keep(piece)
                    self._written_at = self._now()
                self._gather()

    def written(self) -> tuple[int, bytes | None]:
        """In how many segments the log is, and its content; None when it is too long to be kept at hand."""
        with self._lock:
            return self._count, None if self._written is None else bytes(self._written)

    def waiting(self) -> tuple[int, bytes]:
        """What has gathered, and where in the log it starts."""
        with self._lock:
            return self._start or 0, bytes(self._pending)

    def _find_end(self) -> None:
        with self._writing:
            if self._start is None:
                end = 0
                for start, found in segments(self._bucket, self._key):
                    end = start + found.size_bytes
                    self._count, self._written = self._count + 1, None
                self._start = end

    def _gather(self) -> None:
        """Now and then, write all of the log at once for its readers."""
        if self._count % _EVERY == 0 and self._written is not None:
            self._bucket.put(f"{self._key}/{_WHOLE}", [bytes(self._written)])

    def _keep(self, piece: bytes) -> None:
        self._count += 1
        if self._written is not None:
            self._written += piece
            if len(self._written) > _MOST_KEPT:
                self._written = None

    def _begin(self) -> int:
        assert self._start is not None
        return self._start

    def _end(self) -> int:
        return self._begin() + len(self._pending)


class Logs:
    """All logs of one store."""

    def __init__(self, bucket: Bucket, now: Callable[[], float] = time.monotonic) -> None:
        self._bucket = bucket
        self._now = now
        self._lock = threading.Lock()
        self._writer_by_key: dict[str, LogWriter] = {}

    def append(self, key: str, data: Buffer, *, is_new: bool = False) -> int:
        """Add bytes to the end of a log, and answer where they start."""
        with self._lock:
            writer = self._writer_by_key.get(key)
            if writer is None:
                start = 0 if is_new else None
                writer = self._writer_by_key[key] = LogWriter(self._bucket, key, self._now, start)
        return writer.append(data)

    def write(self) -> None:
        """Write what has gathered for any of them."""
        with self._lock:
            writers = list(self._writer_by_key.values())
        for writer in writers:
            writer.write()

    def publish(self, key: str) -> None:
        """Write what has gathered for one."""
        with self._lock:
            writer = self._writer_by_key.get(key)
        if writer is not None:
            writer.write()

    def seal(self, key: str) -> None:
        """Write a log once more as one object, when it is in several. Nobody may append to it any more."""
        self.publish(key)
        with self._lock:
            writer = self._writer_by_key.get(key)
        if writer is None:
            return
        count, content = writer.written()
        if count > _FEW:
            self._bucket.put(f"{key}/{_WHOLE}", [self.read(key) if content is None else content])

    def forget(self, key: str) -> None:
        """Let go of a log of which something was deleted."""
        with self._lock:
            self._writer_by_key.pop(key, None)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a log from ``start`` on, up to ``end`` or to what is missing."""
        with self._lock:
            writer = self._writer_by_key.get(key)
        # What waits is looked at first: by the time the segments are listed, it may be among them.
        waiting_at, waiting = (0, b"") if writer is None else writer.waiting()
        listed = _listed(self._bucket, key, around=start)
        first = next(listed, None)
        data = bytearray()
        if first is not None and first.key.endswith(f"/{_WHOLE}"):
            data += self._bucket.read(first.key, start, None if end is None else max(end - start, 0)) or b""
        rest = start + len(data)
        covering = list(_covering(_segments_in(listed if first is None else chain([first], listed), key), rest, end))
        for (offset, _), piece in zip(covering, self._read_all(covering), strict=True):
            if piece is None:
                break
            data += piece[max(rest - offset, 0) :]
        position = start + len(data)
        if waiting_at <= position:
            data += waiting[position - waiting_at :]
        return bytes(data if end is None else data[: max(end - start, 0)])

    def lengths(self, prefix: str) -> list[BlobInfo]:
        """The logs directly below ``prefix/``, with their lengths, sorted."""
        found_by_key: dict[str, BlobInfo] = {}
        for found in self._bucket.listed_flat(f"{prefix}/"):
            key, _, offset = found.key.rpartition("/")
            if _is_offset(offset) and "/" not in key[len(prefix) + 1 :] and len(key) > len(prefix):
                found_by_key[key] = BlobInfo(key, int(offset) + found.size_bytes, found.modified_at)
        return sorted(found_by_key.values(), key=lambda info: info.key)

    def _read_all(self, covering: Sequence[tuple[int, BlobInfo]]) -> list[bytearray | None]:
        keys = [info.key for _, info in covering]
        if len(keys) < 2:
            return [self._bucket.read(key) for key in keys]
        with futures.ThreadPoolExecutor(max_workers=_READERS) as threads:
            return list(threads.map(self._bucket.read, keys))


def segment(key: str, offset: int) -> str:
    """Where the segment of a log lies that starts at an offset. Their names sort as they do."""
    return f"{key}/{offset:0{_DIGITS}d}"


def log_of(key: str) -> str | None:
    """The log that a key is a segment of; None when it looks like none."""
    log, _, offset = key.rpartition("/")
    return log if log and _is_offset(offset) else None


def segments(bucket: Bucket, key: str, *, around: int = 0) -> Iterator[tuple[int, BlobInfo]]:
    """The segments of a log with their offsets, in order; those that may hold the byte ``around``, and later ones."""
    return _segments_in(_listed(bucket, key, around=around), key)


def _listed(bucket: Bucket, key: str, *, around: int) -> Iterator[BlobInfo]:
    after = segment(key, around - _LONGEST) if around > _LONGEST else ""
    return bucket.listed_flat(f"{key}/", after=after)


def _segments_in(listed: Iterator[BlobInfo], key: str) -> Iterator[tuple[int, BlobInfo]]:
    for found in listed:
        offset = found.key[len(key) + 1 :]
        if _is_offset(offset):
            yield int(offset), found


def _covering(found: Iterator[tuple[int, BlobInfo]], start: int, end: int | None) -> Iterator[tuple[int, BlobInfo]]:
    """Those that hold the bytes of a range, without a gap."""
    position = start
    for offset, info in found:
        if offset > position or (end is not None and position >= end):
            return
        if offset + info.size_bytes > position:
            position = offset + info.size_bytes
            yield offset, info


def _is_offset(text: str) -> bool:
    return len(text) == _DIGITS and text.isdecimal()
