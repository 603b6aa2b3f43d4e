"""What every store promises, wherever its bytes lie.

A store holds three kinds of things, because they are written in three ways:

- *blobs*, bytes under a key, written whole and never half visible;
- *logs*, to which one writer appends and from which many read while it does;
- *commits*, of which the first one wins: a record for a slot in a book.

Keys are paths of plain segments (see ``keys.py``). The law suite in ``pyflow.testing`` holds for
every implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from pyflow.digest import Buffer


class BlobInfo(NamedTuple):
    """What a listing says of one blob or log."""

    key: str
    size_bytes: int
    modified_at: datetime
    """Aware, UTC, by the store's clock."""


Judge: TypeAlias = "Callable[[str, bytes], bool]"
"""Says of a slot and a record whether that record may be the one that holds."""


def anything(_slot: str, _record: bytes) -> bool:
    """The judge who lets every record hold."""
    return True


class BlobStore(Protocol):
    """Bytes under keys, in a folder, in a bucket or in memory.

    All methods raise ``StoreError`` or one of its branches, with the store's URL and the key in
    the message, and are safe to call from several threads and processes at once.
    """

    @property
    def url(self) -> str:
        """Where the store is, in the form that ``open_blobs`` takes."""

    @property
    def poll_s(self) -> float:
        """Seconds between two looks for news, so that looking costs little: longer where each look is paid for."""

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Make the parts, one after the other, the content of a key: whole or not at all.

        Putting over an existing key replaces it, whole or not at all.
        """

    def create(self, key: str, data: Buffer) -> bool:
        """Write a key that must not exist yet; False, and nothing written, when it does."""

    def get(self, key: str) -> bytes:
        """The content of a key.

        Raises:
            NotFoundError: There is none.
        """

    def read(self, key: str, start: int = 0, length: int | None = None) -> memoryview:
        """A part of a blob as a private, writable buffer, without a copy where the store can map it.

        A blob shorter than asked for gives what there is: the caller checks lengths and digests.

        Raises:
            NotFoundError: There is no such key.
        """

    def info(self, key: str) -> BlobInfo | None:
        """Size and time of a key; None when there is none."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[BlobInfo]:
        """All keys that start with ``prefix/``, in the order of their names, from behind ``after`` on.

        What a log or a book of commits is made of is the store's own affair (files, segments, objects), but it
        is listed, so that deleting what is listed leaves nothing behind.
        """

    def folders(self, prefix: str) -> Sequence[str]:
        """The names directly below ``prefix/`` that have keys below them, sorted."""

    def logs(self, prefix: str) -> Sequence[BlobInfo]:
        """The logs directly below ``prefix/`` with their lengths so far, sorted by key."""

    def delete(self, keys: Iterable[str], *, is_sent_once: bool = False) -> None:
        """Remove blobs; a key that does not exist is no error.

        Args:
            keys: Which.
            is_sent_once: Never ask again after an answer that was lost, for what is asked again may come late. What
                could not be removed is then told by an error, and may be gone.
        """

    def unfinished(self) -> Iterator[BlobInfo]:
        """What writers began and did not end, killed ones among them: no key names it, and nobody sees it.

        Their names are the store's own, and are for ``discard`` alone.
        """

    def discard(self, names: Iterable[str]) -> None:
        """Remove what ``unfinished`` has listed; what has ended meanwhile is no error."""

    def append(self, key: str, data: Buffer, *, is_new: bool = False) -> int:
        """Add bytes to the end of a log, and answer where they start. A log has one writer.

        Others see them soon, and at the latest after ``publish`` or ``flush``.

        Args:
            key: Of the log.
            data: What to add.
            is_new: No other process has ever written to this log, so that its end need not be looked for.
        """

    def read_log(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a log from ``start`` on; empty for a log that nobody has written to yet."""

    def commit(self, book: str, slot: str, record: bytes, *, accepts: Judge = anything) -> bytes:
        """Make ``record`` the one of this slot unless there is one; answer the one that holds.

        Whoever asks gets the same record, however many commit at once, and forever. When this raises, the
        record may or may not have become the one: who asks later will see.

        Args:
            book: Key prefix that the commits of one run share.
            slot: Letters, digits, dots and dashes.
            record: One line of JSON (without newlines).
            accepts: Which records may hold; others are passed over as if nobody had written them, and keep no slot.
                It must accept ``record``. All who judge alike get the same record.

        Raises:
            IntegrityError: So many records that may not hold are in the way that there is no place for this one.
        """

    def committed(self, book: str, slot: str, *, accepts: Judge = anything) -> bytes | None:
        """The record that holds for a slot; None while there is none."""

    def prefetch(self, book: str, slots: Iterable[str], *, accepts: Judge = anything) -> None:
        """Somebody is about to ask for these records: bring near what is far, many at once. Changes nothing else."""

    def gather(self, book: str) -> None:
        """This process has committed what it will commit to a book: help those who are to read many of these records.

        It may do nothing, and what it does may be lost: no answer depends on it.
        """

    def slots(self, book: str) -> Sequence[str]:
        """All slots of a book that have a record, whether or not somebody would let it hold; the records are not looked at."""

    def commits(self, book: str, *, accepts: Judge = anything) -> Iterator[tuple[str, bytes]]:
        """All slots of a book with the records that hold."""

    def records(self, book: str) -> Iterator[tuple[str, bytes]]:
        """All records of a book with their slots, also those that came later than the one that holds, as far as they are kept."""

    def damaged(self, book: str) -> Sequence[str]:
        """What in a book is not a whole record, each in words for the person who verifies a store.

        A writer that was killed leaves such a thing; nothing that was committed is in it.
        """

    def publish(self, key: str) -> None:
        """Return when others see all that this process has appended to a log."""

    def seal(self, key: str) -> None:
        """Publish a log that nobody will append to any more, so that it can be read at one go."""

    def flush(self) -> None:
        """Return when all that this process saw written, by whomever, would survive a power cut."""
