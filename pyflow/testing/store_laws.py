"""What every store must do, as functions that try it: for our stores, and for one that you write.

Each law takes a store that is new and empty, and raises ``AssertionError`` when the store breaks it::

    @pytest.mark.parametrize("law", store_laws(), ids=lambda law: law.__name__)
    def test_my_store(law):
        law(MyStore())

What several processes do at once to one store is in ``store_races.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias, TypeVar

from pyflow.digest import CHUNK_SIZE, Buffer
from pyflow.errors import IntegrityError, NotFoundError, StoreError
from pyflow.store import BlobStore, ContentStore, Keys, open_blobs
from pyflow.testing.commit_laws import (
    BOOK,
    RUN,
    a_false_record_keeps_no_slot,
    records_of_any_size_are_committed,
    the_first_commit_holds,
    twins_agree_behind_a_false_record,
)
from pyflow.testing.upkeep_laws import UPKEEP_LAWS

StoreLaw: TypeAlias = Callable[[BlobStore], None]
T = TypeVar("T")

LOG: Final = f"{RUN}/events/w1"

HOSTILE_KEYS: Final = (
    "",
    "/",
    "/etc/passwd",
    "v1/../../etc/passwd",
    "v1/..",
    "./v1",
    "v1//a",
    "v1/a/",
    "v1/.hidden",
    "v1/%2e%2e/a",
    "v1/a\0b",
    "v1/a\nb",
    "v1/a\n",
    "v1/a b",
    "v1/a\\b",
    "v1/é",
    "v1/a\u2028b",
    "v1/\udc80",
    "v1/" + "a" * 129,
    "/".join(["v1"] + ["a" * 100] * 10),
    "pyflow-store.json",
)


def store_laws() -> tuple[StoreLaw, ...]:
    """All laws, each with a sentence that says what it asks."""
    return _LAWS


def check_blob_store(make_store: Callable[[], BlobStore]) -> None:
    """Try all laws, each on a store of its own.

    Args:
        make_store: Makes a store that is new and empty. Its ``url`` must lead to the same store again.

    Raises:
        AssertionError: The store breaks a law; the message names it.
    """
    for law in _LAWS:
        try:
            law(make_store())
        except AssertionError as error:
            raise AssertionError(f"{law.__name__}: {law.__doc__}\n{error}") from error


def what_was_put_is_got(store: BlobStore) -> None:
    """The parts that were put come back as one, whatever their kind and size."""
    large = bytes(range(256)) * 1024
    samples: list[list[Buffer]] = [
        [],
        [b""],
        [b"a"],
        [b"a", b"", bytearray(b"b"), memoryview(b"cd")],
        [large, b"x", memoryview(large), b"", memoryview(b"")],
    ]
    for number, parts in enumerate(samples):
        key = f"{RUN}/blob-{number}"
        store.put(key, parts)
        _same(store.get(key), b"".join(parts), "get")
        _same(bytes(store.read(key)), b"".join(parts), "read")


def putting_again_replaces(store: BlobStore) -> None:
    """A second put takes the place of the first, shorter or longer."""
    for content in (b"first", b"2", b"the third, longer than both", b""):
        store.put(f"{RUN}/run.json", [content])
        _same(store.get(f"{RUN}/run.json"), content, "get")


def a_replacement_is_seen_whole(store: BlobStore) -> None:
    """Who reads a key while it is put again gets all of the old or all of the new content."""
    key, contents = f"{RUN}/run.json", [bytes([number]) * 100_000 for number in range(4)]
    store.put(key, [contents[0]])
    seen: list[bytes] = []

    def read() -> None:
        seen.extend(store.get(key) for _ in range(30))

    def write() -> None:
        for number in range(30):
            store.put(key, [contents[number % 4]])

    _at_once([read, write])
    _same({content in contents for content in seen}, {True}, "every content that was read is one that was put")


def create_makes_a_key_once(store: BlobStore) -> None:
    """The first create of a key writes it; the next writes nothing and says so; also after a put."""
    _holds(store.create(f"{RUN}/cancel", b"first"), "the first create says that it did")
    _holds(not store.create(f"{RUN}/cancel", b"second"), "the second create says that it did not")
    _same(store.get(f"{RUN}/cancel"), b"first", "get")
    store.put(f"{RUN}/run.json", [b"put"])
    _holds(not store.create(f"{RUN}/run.json", b"created"), "create over what was put says that it did not")
    _same(store.get(f"{RUN}/run.json"), b"put", "get")


def of_many_creators_one_succeeds(store: BlobStore) -> None:
    """However many threads create a key at once, exactly one is told that it did, and its bytes are there."""
    for round_number in range(10):
        key = f"{RUN}/claim-{round_number}"
        told = _at_once([partial(store.create, key, b"%d" % me) for me in range(8)])
        _same(sum(told), 1, "the number of creators that were told yes")
        _same(store.get(key), b"%d" % told.index(True), "the content")


def what_is_unknown_is_not_found(store: BlobStore) -> None:
    """A key that nobody wrote: get and read raise NotFoundError with it, all else answers with nothing."""
    key = f"{RUN}/nothing"
    for ask in (store.get, store.read):
        error = _raises(NotFoundError, partial(ask, key))
        _holds(key in str(error) and store.url in str(error), "the message names store and key")
    _same(store.info(key), None, "info")
    _same(list(store.list(RUN)), [], "list")
    _same(list(store.folders(RUN)), [], "folders")
    _same(list(store.logs(RUN)), [], "logs")
    _same(store.read_log(key), b"", "read_log")
    _same(store.committed(BOOK, "1"), None, "committed")
    _same(list(store.commits(BOOK)), [], "commits")
    _same(list(store.damaged(BOOK)), [], "damaged")
    store.delete([key])


def a_prefix_is_not_a_key(store: BlobStore) -> None:
    """What lies only in the path of keys is no key itself."""
    store.put(f"{RUN}/run.json", [b"x"])
    _raises(NotFoundError, lambda: store.get(RUN))
    _raises(NotFoundError, lambda: store.read(RUN))
    _same(store.info(RUN), None, "info")
    store.delete([RUN])
    _same(store.get(f"{RUN}/run.json"), b"x", "get after the prefix was deleted")


def keys_differ_by_case(store: BlobStore) -> None:
    """Two keys that differ only in the case of letters are two."""
    store.put(f"{RUN}/a", [b"small"])
    store.put(f"{RUN}/A", [b"large"])
    _same((store.get(f"{RUN}/a"), store.get(f"{RUN}/A")), (b"small", b"large"), "get")


def parts_of_a_blob_are_read(store: BlobStore) -> None:
    """Any range can be read; beyond the end there is nothing."""
    content = bytes(number % 251 for number in range(300_000))
    key = f"{RUN}/blob"
    store.put(key, [content])
    for start, length in ((0, 0), (0, 5), (7, 70_000), (4096, 200_000), (5000, None), (299_999, 10), (400_000, 9)):
        stop = None if length is None else start + length
        _same(bytes(store.read(key, start, length)), content[start:stop], f"read from {start}, {length} bytes")


def what_is_read_is_private(store: BlobStore) -> None:
    """Writing to a buffer that was read changes neither the store nor another reader's buffer."""
    for size in (10, 300_000):
        key = f"{RUN}/blob-{size}"
        store.put(key, [bytes(size)])
        mine, other = store.read(key), store.read(key)
        mine[0:3] = b"abc"
        _same(bytes(mine[:4]), b"abc\0", "the buffer that was written to")
        _same(bytes(other), bytes(size), "another buffer")
        _same(store.get(key), bytes(size), "the store")


def what_was_read_stays(store: BlobStore) -> None:
    """A buffer keeps its bytes when the key is replaced and deleted afterwards."""
    key, content = f"{RUN}/blob", b"x" * 300_000
    store.put(key, [content])
    buffer = store.read(key)
    store.put(key, [b"y" * 10])
    store.delete([key])
    _same(bytes(buffer), content, "the buffer")


def info_tells_size_and_time(store: BlobStore) -> None:
    """Info gives the size and a time of change that is aware and in UTC."""
    store.put(f"{RUN}/blob", [b"four"])
    info = store.info(f"{RUN}/blob")
    _same(info is not None and (info.key, info.size_bytes), (f"{RUN}/blob", 4), "key and size")
    _same(info is not None and info.modified_at.utcoffset(), timedelta(0), "the offset from UTC")


def a_listing_is_in_order(store: BlobStore) -> None:
    """A listing has all keys below a prefix, in the order of their characters, from behind ``after`` on."""
    names = ["a-b", "a.b", "a/b", "a/c/d", "a0", "a_", "B", "b/a"]
    store.put("v1/demo/runs/ann/r10/run.json", [b"another prefix that starts the same"])
    for name in names:
        store.put(f"{RUN}/{name}", [name.encode()])
    keys = sorted(f"{RUN}/{name}" for name in names)
    _same([info.key for info in store.list(RUN)], keys, "the keys")
    _same([info.size_bytes for info in store.list(RUN)], [len(key) - len(RUN) - 1 for key in keys], "the sizes")
    for after in (*keys, f"{RUN}/a", f"{RUN}/a/", f"{RUN}/a/c", "v1", "v2"):
        rest = [key for key in keys if key > after]
        _same([info.key for info in store.list(RUN, after=after)], rest, f"the keys after {after!r}")


def folders_are_what_has_keys_below(store: BlobStore) -> None:
    """Folders are the names that have keys below them, sorted; one that is emptied is gone."""
    for run in ("r2", "r1", "r10"):
        store.put(f"v1/demo/runs/ann/{run}/run.json", [b"x"])
    store.put("v1/demo/runs/ann/file", [b"x"])
    _same(list(store.folders("v1/demo/runs/ann")), ["r1", "r10", "r2"], "folders")
    store.delete(["v1/demo/runs/ann/r10/run.json"])
    _same(list(store.folders("v1/demo/runs/ann")), ["r1", "r2"], "folders after one was emptied")


def what_was_deleted_is_gone(store: BlobStore) -> None:
    """Delete removes the keys that are there, and can be repeated; what is put again is there again."""
    keys = [f"{RUN}/a", f"{RUN}/b", f"{RUN}/c/d"]
    for key in keys:
        store.put(key, [b"x"])
    for _ in range(2):
        store.delete([keys[0], keys[2], f"{RUN}/unknown"])
        _same([info.key for info in store.list(RUN)], [keys[1]], "what is left")
        _raises(NotFoundError, lambda: store.get(keys[0]))
    store.put(keys[2], [b"again"])
    _same(store.get(keys[2]), b"again", "get")


def a_log_grows(store: BlobStore) -> None:
    """Append answers where its bytes start; any range of a log can be read."""
    lines = [b"first\n", b"", b"second\n", b"x" * 100_000 + b"\n"]
    starts = [store.append(LOG, line) for line in lines]
    _same(starts, [0, 6, 6, 13], "where the lines start")
    store.flush()
    whole = b"".join(lines)
    for start, end in ((0, None), (6, None), (6, 13), (0, 10**9), (13, 13), (10**9, None)):
        _same(store.read_log(LOG, start, end), whole[start:end], f"the log from {start} to {end}")


def a_new_log_grows_like_any(store: BlobStore) -> None:
    """To say that a log is new changes nothing but what is looked for; said again in the same process, it is known better."""
    starts = [store.append(LOG, line, is_new=True) for line in (b"first\n", b"second\n")] + [
        store.append(LOG, b"third\n")
    ]
    _same(starts, [0, 6, 13], "where the lines start")
    store.flush()
    _same(store.read_log(LOG), b"first\nsecond\nthird\n", "the log")


def a_log_is_read_while_it_grows(store: BlobStore) -> None:
    """Who follows a log by asking for what is new gets its bytes, all and in order."""
    lines = [b"line %d\n" % number for number in range(200)]
    got = bytearray()
    is_written = threading.Event()

    def write() -> None:
        try:
            for line in lines:
                store.append(LOG, line)
            store.flush()
        finally:
            is_written.set()

    def follow() -> None:
        while not is_written.is_set():
            got.extend(store.read_log(LOG, len(got)))
        got.extend(store.read_log(LOG, len(got)))

    _at_once([write, follow])
    _same(bytes(got), b"".join(lines), "what the follower got")


def a_published_log_is_seen(store: BlobStore) -> None:
    """What was appended to a log is in it for everyone once it is published; to publish nothing is fine."""
    store.publish(LOG)
    for end in (6, 12):
        store.append(LOG, b"a line")
        store.publish(LOG)
        _same([info.size_bytes for info in store.logs(f"{RUN}/events")], [end], "the length of the log")


def logs_are_found(store: BlobStore) -> None:
    """The logs below a prefix are listed with their lengths; a log's writers need not be known."""
    store.append(f"{RUN}/events/w2", b"1234")
    store.append(f"{RUN}/events/w1", b"12")
    store.append(f"{RUN}/events/w2", b"5")
    store.append(f"{RUN}/logs/w1", b"other")
    store.flush()
    found = [(info.key, info.size_bytes) for info in store.logs(f"{RUN}/events")]
    _same(found, [(f"{RUN}/events/w1", 2), (f"{RUN}/events/w2", 5)], "the logs")


def twins_agree(store: BlobStore) -> None:
    """However many threads commit a slot at once, all are told the same record, and it is what one of them brought."""
    handles = [store, open_blobs(store.url)]
    slots = [str(slot) for slot in range(40)]

    def work(me: int) -> list[bytes]:
        return [handles[me % 2].commit(BOOK, slot, b"%d" % me) for slot in slots]

    answers = _at_once([partial(work, me) for me in range(4)])
    _same(answers, [answers[0]] * 4, "what the twins were told")
    _holds(set(answers[0]) <= {b"0", b"1", b"2", b"3"}, "the records are the twins'")
    _same(dict(store.commits(BOOK)), dict(zip(slots, answers[0], strict=True)), "commits")


def another_handle_sees_it_all(store: BlobStore) -> None:
    """A store opened again by its URL holds the same blobs, logs and commits, and goes on with them."""
    store.put(f"{RUN}/run.json", [b"x"])
    store.append(LOG, b"12")
    store.commit(BOOK, "1", b"first")
    store.flush()
    again = open_blobs(store.url)
    _same(again.url, store.url, "the URL")
    _same(again.get(f"{RUN}/run.json"), b"x", "get")
    _same(again.append(LOG, b""), 2, "where nothing would be appended")
    _same(again.append(LOG, b"34"), 2, "where a log goes on")
    _same(store.read_log(LOG), b"1234", "read_log")
    _same(again.committed(BOOK, "1"), b"first", "committed")
    _same(again.commit(BOOK, "1", b"second"), b"first", "a commit through the other handle")
    _same(again.commit(BOOK, "2", b"new"), b"new", "a new slot through the other handle")
    _same(store.committed(BOOK, "2"), b"new", "committed, by the first handle")


def deleting_what_is_listed_leaves_nothing(store: BlobStore) -> None:
    """When all keys listed below a run are deleted, its blobs, logs and commits are gone, and it can start anew."""
    for content in (b"old", b"new"):
        store.put(f"{RUN}/run.json", [content])
        _same(store.append(LOG, content), 0, "where the log starts")
        _same(store.commit(BOOK, "1", content), content, "the commit")
        store.flush()
        store.delete([info.key for info in store.list(RUN)])
        _same(list(store.list(RUN)), [], "list")
        _same(store.read_log(LOG), b"", "read_log")
        _same(store.committed(BOOK, "1"), None, "committed")
        _same(list(store.commits(BOOK)), [], "commits")
        _same(list(store.folders("v1/demo/runs/ann")), [], "folders")


def hostile_keys_are_refused(store: BlobStore) -> None:
    """A key that could climb, hide or mean something elsewhere is refused by every method, and nothing is written."""
    for key in HOSTILE_KEYS:
        for ask in _every_question(store, key):
            _holds(type(_raises(StoreError, ask)) is not NotFoundError, f"{key!r} is refused and not looked for")
    _same(list(store.list("v1")), [], "what was written")


def _every_question(store: BlobStore, key: str) -> tuple[Callable[[], object], ...]:
    return (
        lambda: store.put(key, [b"x"]),
        lambda: store.create(key, b"x"),
        lambda: store.get(key),
        lambda: store.read(key),
        lambda: store.info(key),
        lambda: list(store.list(key)),
        lambda: store.folders(key),
        lambda: store.logs(key),
        lambda: store.delete([key]),
        lambda: store.append(key, b"x"),
        lambda: store.publish(key),
        lambda: store.read_log(key),
        lambda: store.commit(key, "1", b"x"),
        lambda: store.committed(key, "1"),
        lambda: list(store.commits(key)),
        lambda: list(store.records(key)),
        lambda: store.damaged(key),
    )


def hostile_slots_are_refused(store: BlobStore) -> None:
    """A slot is letters, digits, dots and dashes."""
    for slot in ("", ".", "..", "a/b", "../a", "a_1", "a\tb", "a\nb", "a b", "é", "a" * 129, "%2e"):
        _raises(StoreError, partial(store.commit, BOOK, slot, b"x"))
        _raises(StoreError, partial(store.committed, BOOK, slot))
    _same(list(store.commits(BOOK)), [], "commits")


def content_is_verified(store: BlobStore) -> None:
    """What is kept under its digest comes back equal, or as IntegrityError when the store holds anything else."""
    keys = Keys("demo", "ann")
    content = ContentStore(store, keys)
    for data in (b"", b"small", bytes(CHUNK_SIZE), b"x" * (CHUNK_SIZE + 1)):
        kept = content.put_blob([data[:3], data[3:]])
        _holds(content.has_blob(kept.hex), "has_blob")
        _holds(content.read_blob(kept.hex, len(data)) == data, "the bytes that were kept")
        for wrong in (data + b"x", data[:-1] + b"?", data[:-1]) if data else (b"x",):
            store.put(keys.blob(kept.hex), [wrong])
            _raises(IntegrityError, partial(content.read_blob, kept.hex, len(data)))
    _raises(NotFoundError, lambda: content.read_blob("0" * 64, 5))
    _holds(not (content.has_blob("0" * 64)), "has_blob")


_LAWS: Final[tuple[StoreLaw, ...]] = (
    what_was_put_is_got,
    putting_again_replaces,
    a_replacement_is_seen_whole,
    create_makes_a_key_once,
    of_many_creators_one_succeeds,
    what_is_unknown_is_not_found,
    a_prefix_is_not_a_key,
    keys_differ_by_case,
    parts_of_a_blob_are_read,
    what_is_read_is_private,
    what_was_read_stays,
    info_tells_size_and_time,
    a_listing_is_in_order,
    folders_are_what_has_keys_below,
    what_was_deleted_is_gone,
    a_log_grows,
    a_new_log_grows_like_any,
    a_log_is_read_while_it_grows,
    a_published_log_is_seen,
    logs_are_found,
    the_first_commit_holds,
    records_of_any_size_are_committed,
    a_false_record_keeps_no_slot,
    twins_agree,
    twins_agree_behind_a_false_record,
    another_handle_sees_it_all,
    deleting_what_is_listed_leaves_nothing,
    hostile_keys_are_refused,
    hostile_slots_are_refused,
    content_is_verified,
    *UPKEEP_LAWS,
)


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: expected {_short(expected)}, found {_short(found)}")


def _holds(claim: object, what: str) -> None:
    if not claim:
        raise AssertionError(f"this does not hold: {what}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"


def _raises(kind: type[StoreError], ask: Callable[[], object]) -> StoreError:
    try:
        answer = ask()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, found the answer {_short(answer)}")


def _at_once(works: Iterable[Callable[[], T]]) -> list[T]:
    """Start all in threads at the same moment; their answers, in order."""
    works = list(works)
    start = threading.Barrier(len(works))
    answer_by_worker: dict[int, T] = {}

    def run(me: int, work: Callable[[], T]) -> None:
        start.wait()
        answer_by_worker[me] = work()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer_by_worker[me] for me in _all_of(answer_by_worker, len(works))]


def _all_of(answer_by_worker: dict[int, T], count: int) -> Sequence[int]:
    missing = [me for me in range(count) if me not in answer_by_worker]
    _holds(not missing, f"none of {count} threads ended with an error, but numbers {missing} did")
    return range(count)
