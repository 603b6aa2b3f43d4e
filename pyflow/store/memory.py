"""A store in the memory of one process, ``memory://``: for tests, ours and our users'.

It keeps the same laws as the others, between threads. It lasts as long as the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from pyflow.digest import Buffer
from pyflow.errors import IntegrityError, NotFoundError, StoreError
from pyflow.store.keys import check_key, check_segment, places_of, slot_at
from pyflow.store.protocol import BlobInfo, Judge, anything


@dataclass(frozen=True, slots=True)
class _Kept:
    content: bytes | bytearray
    modified_at: datetime


class MemoryBlobs:
    """A store of one process. ``open_blobs("memory://name")`` gives the same one for the same name."""

    def __init__(self, name: str = "unnamed") -> None:
        self._name = check_segment(name, what="name of a store in memory")
        self._lock = threading.Lock()
        self._kept_by_key: dict[str, _Kept] = {}
        self._slots_by_book: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"MemoryBlobs({self._name!r})"

    @property
    def url(self) -> str:
        """The name, as a ``memory://`` URL."""
        return f"memory://{self._name}"

    @property
    def poll_s(self) -> float:
        """A look costs nothing."""
        return 0.05

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Keep a copy of the parts, joined, in place of what the key held."""
        content = b"".join(parts)
        with self._lock:
            self._keep(check_key(key), content)

    def create(self, key: str, data: Buffer) -> bool:
        """Keep a copy under a key that holds nothing yet; False when it does."""
        content = bytes(data)
        with self._lock:
            if check_key(key) in self._kept_by_key:
                return False
            self._keep(key, content)
            return True

    def get(self, key: str) -> bytes:
        """The content of a key.

        Raises:
            NotFoundError: There is none.
        """
        with self._lock:
            kept = self._kept_by_key.get(check_key(key))
            if kept is None:
                raise NotFoundError(f"The store {self.url} holds nothing under {key!r}.")
            return bytes(kept.content)

    def read(self, key: str, start: int = 0, length: int | None = None) -> memoryview:
        """A copy of a part of a blob.

        Raises:
            NotFoundError: There is no such key.
        """
        content = self.get(key)
        return memoryview(bytearray(content[start:] if length is None else content[start : start + length]))

    def info(self, key: str) -> BlobInfo | None:
        """Size and time of a key; None when there is none."""
        with self._lock:
            return self._info(check_key(key))

    def list(self, prefix: str, *, after: str = "") -> Iterator[BlobInfo]:
        """All keys that start with ``prefix/``, in the order of their names, from behind ``after`` on."""
        for key in self._keys_below(prefix):
            info = self.info(key) if key > after else None
            if info is not None:
                yield info

    def folders(self, prefix: str) -> Sequence[str]:
        """The names directly below ``prefix/`` that have keys below them, sorted."""
        rests = (key[len(prefix) + 1 :].partition("/") for key in self._keys_below(prefix))
        return sorted({name for name, slash, _ in rests if slash})

    def logs(self, prefix: str) -> Sequence[BlobInfo]:
        """The logs directly below ``prefix/``, sorted by key."""
        direct = (self.info(key) for key in self._keys_below(prefix) if "/" not in key[len(prefix) + 1 :])
        return [info for info in direct if info is not None]

    def delete(self, keys: Iterable[str], *, is_sent_once: bool = False) -> None:  # noqa: ARG002  nothing is lost on the way
        """Forget keys; one that does not exist is no error."""
        for key in keys:
            with self._lock:
                self._kept_by_key.pop(check_key(key), None)
                book, slot = key.rpartition("/")[0], slot_at(key)
                if slot is not None and slot in self._slots_by_book.get(book, ()):
                    self._slots_by_book[book].remove(slot)

    def unfinished(self) -> Iterator[BlobInfo]:
        """Nothing: what a thread writes is there at once."""
        return iter(())

    def discard(self, names: Iterable[str]) -> None:
        """Nothing to do: there is nothing unfinished."""

    def append(self, key: str, data: Buffer, *, is_new: bool = False) -> int:  # noqa: ARG002  its end is at hand
        """Add bytes to the end of a log, and answer where they start."""
        with self._lock:
            kept = self._kept_by_key.get(check_key(key))
            content = bytearray() if kept is None else bytearray(kept.content)
            start = len(content)
            content += data
            self._keep(key, content)
            return start

    def read_log(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a log from ``start`` on; empty for a log that nobody has written to yet."""
        with self._lock:
            kept = self._kept_by_key.get(check_key(key))
            return b"" if kept is None else bytes(kept.content[start:end])

    def commit(self, book: str, slot: str, record: bytes, *, accepts: Judge = anything) -> bytes:
        """Keep the record unless the slot has one that may hold; the one that holds."""
        if b"\n" in record:
            raise StoreError(f"The record of slot {slot!r} has a line break; a record is one line.")
        with self._lock:
            for key in places_of(book, slot):
                kept = self._kept_by_key.get(key)
                if kept is None:
                    self._keep(key, record)
                    slots = self._slots_by_book.setdefault(book, [])
                    if slot not in slots:
                        slots.append(slot)
                    return record
                if accepts(slot, bytes(kept.content)):
                    return bytes(kept.content)
        raise IntegrityError(f"All places for the record of slot {slot!r} in {book!r} hold records that may not hold.")

    def committed(self, book: str, slot: str, *, accepts: Judge = anything) -> bytes | None:
        """The record that holds for a slot; None while there is none."""
        return next((record for record in self._records_of(book, slot) if accepts(slot, record)), None)

    def prefetch(self, book: str, slots: Iterable[str], *, accepts: Judge = anything) -> None:
        """Nothing to do: all is near."""

    def gather(self, book: str) -> None:
        """Nothing to do: all is near."""

    def slots(self, book: str) -> Sequence[str]:
        """All slots of a book that have a record, in the order of their commits."""
        check_key(book)
        with self._lock:
            return tuple(self._slots_by_book.get(book, ()))

    def commits(self, book: str, *, accepts: Judge = anything) -> Iterator[tuple[str, bytes]]:
        """All slots of a book with the records that hold, in the order of their commits."""
        check_key(book)
        with self._lock:
            slots = tuple(self._slots_by_book.get(book, ()))
        for slot in slots:
            record = self.committed(book, slot, accepts=accepts)
            if record is not None:
                yield slot, record

    def records(self, book: str) -> Iterator[tuple[str, bytes]]:
        """All records of a book with their slots; those that came later than one that holds were not kept."""
        check_key(book)
        with self._lock:
            slots = tuple(self._slots_by_book.get(book, ()))
        for slot in slots:
            for record in self._records_of(book, slot):
                yield slot, record

    def damaged(self, book: str) -> Sequence[str]:
        """Nothing: memory does not tear."""
        check_key(book)
        return []

    def publish(self, key: str) -> None:
        """Nothing to do: what is appended is seen at once."""
        check_key(key)

    def seal(self, key: str) -> None:
        """Nothing to do: it is read at one go anyway."""
        check_key(key)

    def flush(self) -> None:
        """Nothing to do: no power cut is survived, and none is promised to be."""

    def _records_of(self, book: str, slot: str) -> tuple[bytes, ...]:
        with self._lock:
            found = [self._kept_by_key.get(key) for key in places_of(book, slot)]
        return tuple(bytes(kept.content) for kept in found if kept is not None)

    def _keep(self, key: str, content: bytes | bytearray) -> None:
        self._kept_by_key[key] = _Kept(content, datetime.now(timezone.utc))

    def _info(self, key: str) -> BlobInfo | None:
        kept = self._kept_by_key.get(key)
        return None if kept is None else BlobInfo(key, len(kept.content), kept.modified_at)

    def _keys_below(self, prefix: str) -> tuple[str, ...]:
        start = f"{check_key(prefix)}/"
        with self._lock:
            return tuple(sorted(key for key in self._kept_by_key if key.startswith(start)))


_store_by_name: dict[str, MemoryBlobs] = {}


def named_memory(name: str) -> MemoryBlobs:
    """The store in memory with this name, made when first asked for."""
    return _store_by_name.setdefault(name, MemoryBlobs(name))
