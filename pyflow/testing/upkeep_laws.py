"""What every store must do for those who keep it in order, as functions that try it: a part of the laws in ``store_laws.py``."""

from __future__ import annotations

from pyflow.digest import CHUNK_SIZE
from pyflow.store import BlobStore, open_blobs
from pyflow.testing.claims import holds, same
from pyflow.testing.commit_laws import BOOK, RUN

_LOG = f"{RUN}/events/w1"


def a_sealed_log_reads_the_same(store: BlobStore) -> None:
    """A log of many pieces is the same before and after it is sealed, whole and in part, for everyone; to seal none is fine."""
    store.seal(f"{RUN}/events/nobody")
    content = b"".join(b"line %d\n" % number for number in range(40))
    for line in content.splitlines(keepends=True):
        store.append(_LOG, line)
        store.publish(_LOG)
    for _ in range(2):
        for blobs in (store, open_blobs(store.url)):
            same(blobs.read_log(_LOG), content, "the log")
            same(blobs.read_log(_LOG, 5, 9), content[5:9], "a part of the log")
            same(blobs.read_log(_LOG, len(content) - 3), content[-3:], "the end of the log")
            same(blobs.read_log(_LOG, len(content)), b"", "what lies behind the log")
        same([info.size_bytes for info in store.logs(f"{RUN}/events")], [len(content)], "the length of the log")
        store.seal(_LOG)
    store.delete([info.key for info in store.list(RUN)])
    same(list(store.list(RUN)), [], "what is listed when all was deleted")


def to_prefetch_changes_nothing(store: BlobStore) -> None:
    """Records that were brought near, and slots that have none, answer as before; a later commit is seen."""
    for slot in ("1", "2"):
        store.commit(BOOK, slot, b'{"slot":%s}' % slot.encode())
    again = open_blobs(store.url)
    again.prefetch(BOOK, ["1", "2", "3", "4"])
    again.prefetch(BOOK, [])
    same([again.committed(BOOK, slot) for slot in "123"], [b'{"slot":1}', b'{"slot":2}', None], "the records")
    store.commit(BOOK, "3", b"{}")
    same(again.committed(BOOK, "3"), b"{}", "the record that came later")


def what_is_gathered_is_what_was_committed(store: BlobStore) -> None:
    """Many records that their writer has gathered are the same ones, for all; they are no slots, and go with the book."""
    store.gather(BOOK)
    records = {f"3.{number}": b'{"slot":"3.%d"}' % number for number in range(50)}
    for slot, record in records.items():
        store.commit(BOOK, slot, record)
    store.gather(BOOK)
    store.gather(BOOK)
    again = open_blobs(store.url)
    again.prefetch(BOOK, [*records, "3.50"])
    same({slot: again.committed(BOOK, slot) for slot in records}, records, "the records")
    same(again.committed(BOOK, "3.50"), None, "the record of a slot without one")
    same(sorted(again.slots(BOOK)), sorted(records), "the slots")
    same(dict(again.commits(BOOK)), records, "the commits")
    store.delete([info.key for info in store.list(BOOK)])
    same(list(store.list(BOOK)), [], "what is listed when all was deleted")


def what_has_ended_is_not_unfinished(store: BlobStore) -> None:
    """Writes that have ended left nothing behind, small ones and large ones; to discard nothing is fine."""
    store.put(f"{RUN}/small", [b"x"])
    store.put(f"{RUN}/large", [bytes(CHUNK_SIZE), b"and more"])
    same([info.key for info in store.unfinished()], [], "what is unfinished")
    store.discard([])


def what_is_deleted_once_is_gone(store: BlobStore) -> None:
    """A request to remove that is sent once removes like any other, whatever of it is there."""
    keys = [f"{RUN}/blob-{number}" for number in range(4)]
    for key in keys[:3]:
        store.put(key, [b"x"])
    store.delete(keys, is_sent_once=True)
    same(list(store.list(RUN)), [], "what is listed")
    holds(store.info(keys[0]) is None, "a look at what was deleted finds nothing")


UPKEEP_LAWS = (
    a_sealed_log_reads_the_same,
    to_prefetch_changes_nothing,
    what_is_gathered_is_what_was_committed,
    what_has_ended_is_not_unfinished,
    what_is_deleted_once_is_gone,
)
