"""What every store must do with commits, as functions that try it: a part of the laws in ``store_laws.py``."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from pyflow.errors import StoreError
from pyflow.store import BlobStore, open_blobs
from pyflow.testing.claims import holds, raises, same

RUN: Final = "v1/demo/runs/ann/r1"
BOOK: Final = f"{RUN}/commits"


def the_first_commit_holds(store: BlobStore) -> None:
    """The first record of a slot is the answer to every commit of that slot, in each book for itself."""
    same(store.commit(BOOK, "1", b'{"a":1}'), b'{"a":1}', "the first commit")
    same(store.commit(BOOK, "1", b'{"a":2}'), b'{"a":1}', "the second commit")
    same(store.commit(BOOK, "1.0.12", b"{}"), b"{}", "another slot")
    same(store.commit(f"{RUN}-other/commits", "1", b'{"a":3}'), b'{"a":3}', "another book")
    same(store.committed(BOOK, "1"), b'{"a":1}', "committed")
    same(store.committed(BOOK, "2"), None, "a slot without a record")
    same(sorted(store.commits(BOOK)), [("1", b'{"a":1}'), ("1.0.12", b"{}")], "commits")
    same(sorted(store.slots(BOOK)), ["1", "1.0.12"], "slots")


def records_of_any_size_are_committed(store: BlobStore) -> None:
    """A record may be empty or a megabyte, and hold any bytes but a line break."""
    records = {"1": b"", "2": b"x" * 1_000_000, "3": b"\t\0\xff\r|", "4": b"small"}
    for slot, record in records.items():
        same(store.commit(BOOK, slot, record), record, f"the record of slot {slot}")
    same(dict(store.commits(BOOK)), records, "commits")
    same(dict(store.records(BOOK)), records, "records")
    same(dict(open_blobs(store.url).commits(BOOK)), records, "commits, read from the start")
    raises(StoreError, lambda: store.commit(BOOK, "5", b"two\nlines"))
    same(store.committed(BOOK, "5"), None, "the slot of the refused record")


def a_false_record_keeps_no_slot(store: BlobStore) -> None:
    """Records that may not hold are passed over, however many came first; the first one that may is the answer."""
    for record in (b"false 0", b"false 1", b"false 2"):
        store.commit(BOOK, "1", record, accepts=partial(_is, record))
    same(store.committed(BOOK, "1", accepts=_is_true), None, "committed, while there are false records only")
    same(dict(store.commits(BOOK, accepts=_is_true)), {}, "commits, while there are false records only")
    same(set(store.slots(BOOK)), {"1"}, "slots, while there are false records only")
    same(store.commit(BOOK, "1", b"true 1", accepts=_is_true), b"true 1", "the first true one")
    same(store.commit(BOOK, "1", b"true 2", accepts=_is_true), b"true 1", "the second true one")
    same(store.commit(BOOK, "2", b"true 3", accepts=_is_true), b"true 3", "another slot")
    for seen in (store, open_blobs(store.url)):
        same(seen.committed(BOOK, "1", accepts=_is_true), b"true 1", "committed")
        same(dict(seen.commits(BOOK, accepts=_is_true)), {"1": b"true 1", "2": b"true 3"}, "commits")
        same(seen.committed(BOOK, "1"), b"false 0", "committed, for one who believes all")
        kept = [record for slot, record in seen.records(BOOK) if slot == "1"]
        same(kept[:4], [b"false 0", b"false 1", b"false 2", b"true 1"], "records")


def twins_agree_behind_a_false_record(store: BlobStore) -> None:
    """However many threads commit behind a false record, all are told the same one, and it is one of theirs."""
    slots = [str(slot) for slot in range(20)]
    for slot in slots:
        store.commit(BOOK, slot, b"false")
    handles, start = [store, open_blobs(store.url)], threading.Barrier(4)

    def work(me: int) -> list[bytes]:
        start.wait()
        return [handles[me % 2].commit(BOOK, slot, b"true %d" % me, accepts=_is_true) for slot in slots]

    with ThreadPoolExecutor(max_workers=4) as threads:
        answers = list(threads.map(work, range(4)))
    same(answers, [answers[0]] * 4, "what the twins were told")
    holds(all(record.startswith(b"true") for record in answers[0]), "the records are the twins'")
    same(dict(store.commits(BOOK, accepts=_is_true)), dict(zip(slots, answers[0], strict=True)), "commits")


def _is(expected: bytes, _slot: str, record: bytes) -> bool:
    return record == expected


def _is_true(_slot: str, record: bytes) -> bool:
    return record.startswith(b"true")
