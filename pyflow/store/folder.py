"""A store in a folder, ``file://``: what the protocol means in files.

    <root>/pyflow-store.json      the version of the layout
    <root>/.gitignore             keeps the folder out of version control
    <root>/.tmp/                  files being written; no key can name them, for no segment starts with a dot
    <root>/<key>                  a blob or a log
    <root>/<book>/log             a book of commits

A blob is written aside, whole, and then renamed, so nobody ever sees half of one; a process that dies
meanwhile leaves a file in ``.tmp``. Nothing is synced here but by ``flush``.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from pyflow.digest import Buffer
from pyflow.errors import NotFoundError, StoreError
from pyflow.failpoints import reached
from pyflow.store.book import Book
from pyflow.store.disk import (
    MOST_TRIES,
    is_file,
    make_folder,
    private_view,
    read_range,
    remove,
    sync_file_system,
)
from pyflow.store.failure import folder_error
from pyflow.store.keys import check_key, check_segment, check_slot
from pyflow.store.listing import entries, entry_info, file_info, files_below
from pyflow.store.log_file import LogFile
from pyflow.store.protocol import BlobInfo, Judge, anything
from pyflow.store.recent import Recent
from pyflow.store.root import TEMPORARY, StoreRoot, file_url

# An index of a book of 10,000 commits takes about 2 MB.
_MOST_BOOKS: Final = 8
_MOST_LOGS: Final = 32
_BOOK_FILE: Final = "log"

_stores: weakref.WeakSet[FolderBlobs] = weakref.WeakSet()


class FolderBlobs:
    """A store in a folder of the local, or a mounted, file system."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = StoreRoot(os.path.abspath(os.fspath(path)))
        self._url = file_url(self._root.path)
        self._start_afresh()
        _stores.add(self)

    def _start_afresh(self) -> None:
        # Also called in the child of a fork: locks may be held by threads it does not have, and a
        # descriptor shared with the parent would share its position too.
        self._book_by_key: Recent[Book] = Recent(_MOST_BOOKS)
        self._log_by_key: Recent[LogFile] = Recent(_MOST_LOGS)

    def __repr__(self) -> str:
        return f"FolderBlobs({self._root.path!r})"

    @property
    def url(self) -> str:
        """The folder as a ``file://`` URL."""
        return self._url

    @property
    def poll_s(self) -> float:
        """A look is a system call."""
        return 0.05

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Write the parts aside, then rename over whatever the key held."""
        path = self._path(key)
        try:
            aside = self._root.write_aside(parts)
            reached("aside.after")
            try:
                self._place(aside, path, os.replace)
                reached("rename.after")
            except BaseException:
                remove(aside)
                raise
        except OSError as error:
            raise folder_error(error, f"write {key!r}", self._url) from error

    def create(self, key: str, data: Buffer) -> bool:
        """Write aside, then link: of several at once, the file system lets one through."""
        path = self._path(key)
        try:
            self._root.check()
            if os.path.lexists(path):
                return False
            aside = self._root.write_aside([data])
            try:
                self._place(aside, path, os.link)
            except FileExistsError:
                return False
            finally:
                remove(aside)
        except OSError as error:
            raise folder_error(error, f"create {key!r}", self._url) from error
        return True

    def get(self, key: str) -> bytes:
        """The content of a key.

        Raises:
            NotFoundError: There is none.
        """
        with self._open(key) as (fd, size_bytes):
            return read_range(fd, 0, size_bytes)

    def read(self, key: str, start: int = 0, length: int | None = None) -> memoryview:
        """A part of a blob, mapped privately when it is large: see ``disk.private_view``.

        Raises:
            NotFoundError: There is no such key.
        """
        with self._open(key) as (fd, _):
            return private_view(fd, start, length)

    def info(self, key: str) -> BlobInfo | None:
        """Size and time of a key; None when there is none."""
        path = self._path(key)
        try:
            self._root.check()
            found = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise folder_error(error, f"look at {key!r}", self._url) from error
        return file_info(key, found) if is_file(found) else None

    def list(self, prefix: str, *, after: str = "") -> Iterator[BlobInfo]:
        """All keys that start with ``prefix/``, in the order of their names, from behind ``after`` on."""
        path = self._path(prefix)
        try:
            self._root.check()
            yield from files_below(path, f"{prefix}/", after)
        except OSError as error:
            raise folder_error(error, f"list {prefix!r}", self._url) from error

    def folders(self, prefix: str) -> Sequence[str]:
        """The names of the folders directly below, sorted. Deleting removes folders that it empties."""
        path = self._path(prefix)
        try:
            self._root.check()
            return sorted(entry.name for entry in entries(path) if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            raise folder_error(error, f"list {prefix!r}", self._url) from error

    def logs(self, prefix: str) -> Sequence[BlobInfo]:
        """The logs directly below ``prefix/``: in a folder, its files."""
        path = self._path(prefix)
        try:
            self._root.check()
            in_order = sorted(entries(path), key=lambda entry: entry.name)
            found = [entry_info(f"{prefix}/{entry.name}", entry) for entry in in_order]
        except OSError as error:
            raise folder_error(error, f"list {prefix!r}", self._url) from error
        return [info for info in found if info is not None]

    def delete(self, keys: Iterable[str], *, is_sent_once: bool = False) -> None:  # noqa: ARG002  nothing is lost on the way
        """Remove files, and the folders above that are then empty."""
        for key in keys:
            path = self._path(key)
            self._log_by_key.drop(key)
            self._book_by_key.drop(key.rpartition("/")[0])
            try:
                self._root.check()
                remove(path)
                self._prune(os.path.dirname(path))
            except (NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                raise folder_error(error, f"delete {key!r}", self._url) from error

    def unfinished(self) -> Iterator[BlobInfo]:
        """The files aside: those being written now, and those of writers that died."""
        try:
            self._root.check()
            for entry in self._root.aside():
                info = entry_info(entry.name, entry)
                if info is not None:
                    yield info
        except OSError as error:
            raise folder_error(error, "list what is unfinished", self._url) from error

    def discard(self, names: Iterable[str]) -> None:
        """Remove files aside."""
        try:
            for name in names:
                remove(f"{self._root.path}/{TEMPORARY}/{check_segment(name, what='name')}")
        except OSError as error:
            raise folder_error(error, "remove what is unfinished", self._url) from error

    def append(self, key: str, data: Buffer, *, is_new: bool = False) -> int:  # noqa: ARG002  a file knows its end
        """Add bytes to the end of a log with one write, and answer where they start."""
        try:
            return self._log_by_key.get(key, self._open_log).append(data)
        except OSError as error:
            raise folder_error(error, f"append to {key!r}", self._url) from error

    def read_log(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a log from ``start`` on; empty for a log that nobody has written to yet."""
        try:
            with self._open(key) as (fd, size_bytes):
                return read_range(fd, start, size_bytes if end is None else min(end, size_bytes))
        except NotFoundError:
            return b""

    def commit(self, book: str, slot: str, record: bytes, *, accepts: Judge = anything) -> bytes:
        """Append the record to the book's file; the first one of a slot that may holds: see ``book.py``."""
        check_slot(slot)
        if b"\n" in record:
            raise StoreError(f"The record of slot {slot!r} has a line break; a record is one line.")
        try:
            return self._book(book).commit(slot, record, accepts)
        except OSError as error:
            raise folder_error(error, f"commit {slot!r} to {book!r}", self._url) from error

    def committed(self, book: str, slot: str, *, accepts: Judge = anything) -> bytes | None:
        """The record that holds for a slot; None while there is none."""
        check_slot(slot)
        try:
            return self._book(book).committed(slot, accepts)
        except OSError as error:
            raise folder_error(error, f"read {book!r}", self._url) from error

    def prefetch(self, book: str, slots: Iterable[str], *, accepts: Judge = anything) -> None:
        """Nothing to do: the book is read forward, and once."""

    def gather(self, book: str) -> None:
        """Nothing to do: the book is one file."""

    def slots(self, book: str) -> Sequence[str]:
        """All slots of a book that have a record, in the order of their commits."""
        try:
            return self._book(book).slots()
        except OSError as error:
            raise folder_error(error, f"read {book!r}", self._url) from error

    def commits(self, book: str, *, accepts: Judge = anything) -> Iterator[tuple[str, bytes]]:
        """All slots of a book with the records that hold, in the order of their commits."""
        try:
            opened = self._book(book)
            for slot in opened.slots():
                record = opened.committed(slot, accepts)
                if record is not None:
                    yield slot, record
        except OSError as error:
            raise folder_error(error, f"read {book!r}", self._url) from error

    def records(self, book: str) -> Iterator[tuple[str, bytes]]:
        """All records of a book with their slots."""
        try:
            opened = self._book(book)
            for slot in opened.slots():
                for record in opened.records(slot):
                    yield slot, record
        except OSError as error:
            raise folder_error(error, f"read {book!r}", self._url) from error

    def damaged(self, book: str) -> Sequence[str]:
        """The places in the book's file that hold something other than whole records."""
        try:
            return [f"{book}/{_BOOK_FILE}, byte {offset}" for offset in self._book(book).damaged()]
        except OSError as error:
            raise folder_error(error, f"read {book!r}", self._url) from error

    def publish(self, key: str) -> None:
        """Nothing to do: what is appended is seen at once."""
        check_key(key)

    def seal(self, key: str) -> None:
        """Nothing to do: a log is one file."""
        check_key(key)

    def flush(self) -> None:
        """Return when all that was written to the store, by any process, would survive a power cut."""
        try:
            if os.path.isdir(self._root.path):
                sync_file_system(self._root.path)
        except OSError as error:
            raise folder_error(error, "write everything to the disk", self._url) from error

    def _path(self, key: str) -> str:
        return f"{self._root.path}/{check_key(key)}"

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[tuple[int, int]]:
        """A descriptor of a key's file, and its size."""
        path = self._path(key)
        try:
            self._root.check()
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                found = os.fstat(fd)
                if not is_file(found):
                    raise FileNotFoundError
                yield fd, found.st_size
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"The store {self._url} holds nothing under {key!r}.") from error
        except OSError as error:
            raise folder_error(error, f"read {key!r}", self._url) from error

    def _book(self, book: str) -> Book:
        return self._book_by_key.get(book, self._open_book)

    def _open_book(self, book: str) -> Book:
        self._root.check()
        folder = self._path(book)
        return Book(f"{folder}/{_BOOK_FILE}", partial(self._root.make_folder, folder))

    def _open_log(self, key: str) -> LogFile:
        path = self._path(key)
        self._root.check()
        return LogFile(path, partial(self._root.make_folder, os.path.dirname(path)))

    def _place(self, aside: str, path: str, move: Callable[[str, str], None]) -> None:
        for _ in range(MOST_TRIES):
            try:
                move(aside, path)
                return
            except FileNotFoundError:
                make_folder(os.path.dirname(path))
        move(aside, path)

    def _prune(self, folder: str) -> None:
        """Remove empty folders upwards, up to the root."""
        while len(folder) > len(self._root.path):
            try:
                # When somebody else was faster, what is above may still be empty.
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(folder)
            except OSError:
                return  # not empty, as a rule
            folder = os.path.dirname(folder)


def _forget_parent() -> None:
    for store in list(_stores):
        store._start_afresh()  # noqa: SLF001 - one module; the hook below can only be a function


os.register_at_fork(after_in_child=_forget_parent)
