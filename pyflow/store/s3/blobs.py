"""A store in a bucket: what the protocol means in objects.

    <prefix>/pyflow-store.json      the version of the layout, and what the store can do
    <prefix>/<key>                  a blob
    <prefix>/<log>/<offset>         a segment of a log: see ``logs.py``
    <prefix>/<book>/<slot>          a commit; <slot>_1 and so on behind records that nobody believes
    <prefix>/<book>/gathered_…      copies of many commits: see ``gathered.py``

An object is there whole or not at all. A commit is created only if there is none: of several at once the store lets one
through. A store that does not honour that is found out (``marker.py``); there a commit is looked for, written and read
back, which keeps all orders of events but two at the same moment, so whoever runs tasks must not start twins.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pyflow.digest import Buffer
from pyflow.errors import IntegrityError, NotFoundError, StoreError
from pyflow.late import late
from pyflow.store.keys import check_key, places_of, slot_at
from pyflow.store.protocol import BlobInfo, Judge, anything
from pyflow.store.s3.address import Address
from pyflow.store.s3.bucket import Bucket
from pyflow.store.s3.gathered import MANY, Gathered
from pyflow.store.s3.logs import Logs, log_of
from pyflow.store.s3.marker import Facts, Marker
from pyflow.store.s3.records import Records
from pyflow.store.s3.requests import Patience, Requests
from pyflow.store.s3.unfinished import abort_upload, list_uploads

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

_READERS: Final = 8

# Results of 8 KiB ride in a record; with all else it is far below this. What is longer was written by somebody else:
# it is read this far, and not believed.
MOST_RECORD_BYTES: Final = 8 * 1024 * 1024


class S3Blobs:
    """A store in a bucket. Nothing is asked of it before it is used.

    Args:
        url: ``s3://bucket/prefix``.
        patience: How long to try again what fails.
    """

    def __init__(self, url: str, *, patience: Patience | None = None) -> None:
        self._address = Address.parse(url)
        self._patience = patience
        self._facts = Facts()
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget what the parent of a fork had under way: its log is its own to write."""
        self._requests = Requests(self.url, self._patience)
        self._once = Requests(self.url, Patience(most_attempts=1))
        self._bucket = Bucket(self._address, self._requests)
        self._marker = Marker(self._bucket, self.url, self._facts)
        self._logs = Logs(self._bucket)
        self._records = Records()
        self._gathered = Gathered(self._bucket)

    def __repr__(self) -> str:
        return f"S3Blobs({self.url!r})"

    @property
    def url(self) -> str:
        """Bucket and prefix as an ``s3://`` URL."""
        return self._address.url

    @property
    def poll_s(self) -> float:
        """A look is a request."""
        return 2.0

    def has_create_only(self) -> bool:
        """Whether the store honours create-only writes, tried out once in its life; otherwise twins could both commit."""
        return self._marker.has_create_only()

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Write an object, a large one in parts that appear together."""
        check_key(key)
        self._marker.prepare()
        self._bucket.put(key, parts)

    def create(self, key: str, data: Buffer) -> bool:
        """Write an object only if there is none; where the store cannot do that, look first and read back."""
        check_key(key)
        if self._marker.has_create_only():
            return self._bucket.create(key, data)
        return self._bucket.info(key) is None and self._bucket.create(key, data, is_honoured=False)

    def get(self, key: str) -> bytes:
        """The content of a key.

        Raises:
            NotFoundError: There is none.
        """
        return bytes(self._read(key, 0, None))

    def read(self, key: str, start: int = 0, length: int | None = None) -> memoryview:
        """A part of a blob, large ones by several requests at once.

        Raises:
            NotFoundError: There is no such key.
        """
        return memoryview(self._read(key, start, length))

    def info(self, key: str) -> BlobInfo | None:
        """Size and time of a key; None when there is none."""
        check_key(key)
        self._marker.check()
        return self._bucket.info(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[BlobInfo]:
        """All keys that start with ``prefix/``, in the order of their names, from behind ``after`` on."""
        start = f"{check_key(prefix)}/"
        self._marker.check()
        if after < start or after.startswith(start):
            yield from self._bucket.listed(start, after=after if after.startswith(start) else "")

    def folders(self, prefix: str) -> Sequence[str]:
        """The names directly below ``prefix/`` that have keys below them, sorted."""
        check_key(prefix)
        self._marker.check()
        return self._bucket.folders(f"{prefix}/")

    def logs(self, prefix: str) -> Sequence[BlobInfo]:
        """The logs directly below ``prefix/``, as long as what others can see of them."""
        check_key(prefix)
        self._marker.check()
        return self._logs.lengths(prefix)

    def delete(self, keys: Iterable[str], *, is_sent_once: bool = False) -> None:
        """Remove objects, up to a thousand with one request."""
        wanted = [check_key(key) for key in keys]
        self._marker.check()
        for log in {log_of(key) for key in wanted} - {None}:
            self._logs.forget(str(log))
        self._records.forget(wanted)
        (Bucket(self._address, self._once) if is_sent_once else self._bucket).delete(wanted)

    def unfinished(self) -> Iterator[BlobInfo]:
        """Uploads in parts that have not ended, as AWS keeps them, and bills them, until somebody ends them."""
        self._marker.check()
        return list_uploads(self._requests, self._address)

    def discard(self, names: Iterable[str]) -> None:
        """End uploads."""
        for name in names:
            abort_upload(self._requests, self._address, name)

    def append(self, key: str, data: Buffer, *, is_new: bool = False) -> int:
        """Add bytes to the end of a log; they are gathered for a moment: see ``logs.py``."""
        check_key(key)
        self._marker.prepare()
        return self._logs.append(key, data, is_new=is_new)

    def read_log(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a log from ``start`` on; of what this process appends, also what it has gathered."""
        check_key(key)
        self._marker.check()
        return self._logs.read(key, start, end)

    def commit(self, book: str, slot: str, record: bytes, *, accepts: Judge = anything) -> bytes:
        """Create the object of the slot; when there is one that may hold, that one does."""
        keys = places_of(book, slot)
        if b"\n" in record:
            raise StoreError(f"The record of slot {slot!r} has a line break; a record is one line.")
        if len(record) >= MOST_RECORD_BYTES:
            raise StoreError(
                f"The record of slot {slot!r} has {len(record)} bytes, and must have fewer than {MOST_RECORD_BYTES}: hand over fewer outputs."
            )
        for key in keys:
            held = self._offered(key, record)
            if held == record or accepts(slot, held):
                if self._gathered.note(book, key):
                    # The commit holds, whatever becomes of the copy.
                    with contextlib.suppress(StoreError):
                        self.gather(book)
                return held
        raise IntegrityError(
            f"There is no place for the record of slot {slot!r} in {self.url}: {keys[0]!r} and the {len(keys) - 1} keys behind it "
            "hold records that are not believed. Somebody writes false ones: find out who, delete these, and run again."
        )

    def committed(self, book: str, slot: str, *, accepts: Judge = anything) -> bytes | None:
        """The record that holds for a slot; None while there is none."""
        keys = places_of(book, slot)
        self._marker.check()
        for key in keys:
            found = self._record_at(key)
            if found is None or accepts(slot, found):
                return found
        return None

    def prefetch(self, book: str, slots: Iterable[str], *, accepts: Judge = anything) -> None:
        """Read what is not known yet, several at once, if what is read may be remembered."""
        self._marker.check()
        if not self._marker.is_known_create_only:
            return
        unknown = {key: slot for slot in slots if self._records.get(key := places_of(book, slot)[0]) is None}
        if len(unknown) >= MANY:
            for key, record in self._gathered.read(book, unknown):
                slot = slot_at(key)
                if slot is not None and accepts(slot, record):
                    self._records.add(key, record)
                    unknown.pop(key, None)
        if len(unknown) > 1:
            with futures.ThreadPoolExecutor(max_workers=_READERS) as threads:
                for _ in threads.map(lambda slot: self.committed(book, slot), unknown.values()):
                    pass

    def gather(self, book: str) -> None:
        """Write once more, as one object, what this process has committed, if whoever reads it may remember it."""
        self._marker.check()
        if self._marker.is_known_create_only:
            self._gathered.write(book, self._records.get)

    def slots(self, book: str) -> Sequence[str]:
        """All slots of a book that have a record, in the order of their names: a listing, a thousand of them at a time."""
        return tuple(dict.fromkeys(slot for slot, _ in self._placed(book)))

    def commits(self, book: str, *, accepts: Judge = anything) -> Iterator[tuple[str, bytes]]:
        """All slots of a book with the records that hold, in the order of their names."""
        last = None
        for slot, record in self.records(book):
            if slot != last and accepts(slot, record):
                last = slot
                yield slot, record

    def records(self, book: str) -> Iterator[tuple[str, bytes]]:
        """All records of a book with their slots, in the order of names; those that came later than one that holds were not kept."""
        found = self._placed(book)
        if not found:
            return
        with futures.ThreadPoolExecutor(max_workers=_READERS) as threads:
            for (slot, _), record in zip(found, threads.map(self._record, [key for _, key in found]), strict=True):
                if record is not None:
                    yield slot, record

    def damaged(self, book: str) -> Sequence[str]:
        """Nothing: an object is there whole or not at all."""
        check_key(book)
        return []

    def publish(self, key: str) -> None:
        """Write what has been gathered for a log."""
        self._logs.publish(check_key(key))

    def seal(self, key: str) -> None:
        """Write the log once more, as one object: who reads it from then on asks twice, however long it went on."""
        self._logs.seal(check_key(key))

    def flush(self) -> None:
        """Write what has been gathered for logs. All else is safe once the store has said yes to it."""
        self._logs.write()

    def create_as_asked(self, key: str, data: Buffer) -> bool:
        """Ask for a create-only write; whether the store said yes."""
        return self._bucket.create(check_key(key), data)

    def refuses_wrong_bytes(self, key: str) -> bool:
        """Whether the store refuses a write whose bytes are not those that were signed."""
        return self._bucket.refuses_wrong_bytes(check_key(key))

    def note_create_only(self, *, is_honoured: bool) -> None:
        """Keep in the marker what was found out."""
        self._marker.note(is_create_only=is_honoured)

    def _read(self, key: str, start: int, length: int | None) -> bytearray:
        check_key(key)
        self._marker.check()
        found = self._bucket.read(key, start, length)
        if found is None:
            raise NotFoundError(f"The store {self.url} holds nothing under {key!r}.")
        return found

    def _placed(self, book: str) -> Sequence[tuple[str, str]]:
        """The slots of a book with the keys of their records, in the order of names."""
        check_key(book)
        self._marker.check()
        placed = [(slot_at(info.key), info.key) for info in self._bucket.listed_flat(f"{book}/")]
        return sorted((slot, key) for slot, key in placed if slot is not None)

    def _offered(self, key: str, record: bytes) -> bytes:
        """The record at a key, which is this one if there was none."""
        if not self._marker.has_create_only():
            if self._record(key) is None:
                self._bucket.put(key, [record])
            return self._held(key)
        held = record if self._bucket.offer(key, record) else self._held(key)
        self._records.add(key, held)
        return held

    def _record_at(self, key: str) -> bytes | None:
        found = self._records.get(key)
        if found is None:
            found = self._record(key)
            if found is not None and self._marker.is_known_create_only:
                self._records.add(key, found)
        return found

    def _held(self, key: str) -> bytes:
        found = self._record(key)
        if found is None:
            raise StoreError(
                f"The store {self.url} said that there is a record {key!r}, and then that there is none: somebody deletes "
                "what a run is writing, or the store does not keep what it confirms. Run again."
            )
        return found

    def _record(self, key: str) -> bytes | None:
        """What lies at the key of a commit; of what is too long to be one, only its beginning."""
        found = self._bucket.read(key, 0, MOST_RECORD_BYTES)
        return None if found is None else bytes(found)


_lock = threading.Lock()
_store_by_place: dict[tuple[str, str], S3Blobs] = {}


def open_s3(url: str) -> S3Blobs:
    """The store at a URL: in one process always the same one, so that it sees what it has gathered itself."""
    place = Address.parse(url).url, os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL", ""))
    with _lock:
        found = _store_by_place.get(place)
        if found is None:
            found = _store_by_place[place] = S3Blobs(url)
        return found


def _forget_parent() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    for store in _store_by_place.values():
        store.start_afresh()


os.register_at_fork(after_in_child=_forget_parent)
