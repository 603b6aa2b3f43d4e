"""``pyflow store check``: what a store can do, found out by trying, in words that say what follows from it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Final

from pyflow.digest import CHUNK_SIZE
from pyflow.errors import PyflowError, StoreError
from pyflow.store import BlobStore, S3Trials, network_file_system

RACERS: Final = 8
_ROUNDS: Final = 3
_MOST_SKEW_S: Final = 60.0

ONE_RESULT: Final = (
    "Of two attempts at one task that commit in the same moment, both would believe to be the first. The executors that "
    "schedule for themselves (inprocess, local, docker) start nobody twice at once and name the winner, and so keep the "
    "promise of one result; 'argo' does not take this store."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    name: str
    is_ok: bool
    detail: str
    """What it can do or cannot, in words."""
    is_needed: bool = True
    """Whether a promise rests on it."""


def check_store(blobs: BlobStore) -> Iterator[Finding]:
    """Try a store, one thing after the other, with keys of its own that are gone in the end.

    Raises:
        StoreError: The store cannot be written to or read at all; the message says what would help.
    """
    place = f"v1/pyflow-check-{os.urandom(6).hex()}"
    first = _write_and_read(blobs, place)
    try:
        yield first
        for trial in (_ranges, _replaces, _lists, _creates_once, _races, _appends):
            yield _tried(trial, blobs, place)
        if isinstance(blobs, S3Trials):
            yield _large(blobs, place)
            yield _wrong_bytes(blobs, place)
        yield _clock(blobs, place)
        network = network_file_system(blobs.url)
        if network:
            yield _cannot("file system", f"It lies on {network}, which does not order appends of several machines.")
        yield _removes(blobs, place)
    finally:
        blobs.delete([info.key for info in blobs.list(place)])


def _can(name: str, detail: str, *, is_needed: bool = True) -> Finding:
    return Finding(name, is_ok=True, detail=detail, is_needed=is_needed)


def _cannot(name: str, detail: str, *, is_needed: bool = True) -> Finding:
    return Finding(name, is_ok=False, detail=detail, is_needed=is_needed)


def _tried(trial: Callable[[BlobStore, str], Finding], blobs: BlobStore, place: str) -> Finding:
    try:
        return trial(blobs, place)
    except StoreError as error:
        return _cannot(trial.__name__.strip("_").replace("_", " "), str(error))


def _write_and_read(blobs: BlobStore, place: str) -> Finding:
    began, data = time.monotonic(), os.urandom(64 * 1024)
    blobs.put(f"{place}/blob", [data])
    is_same = blobs.get(f"{place}/blob") == data
    took_ms = (time.monotonic() - began) * 1000
    what = (
        f"64 KiB written and read back in {took_ms:.0f} ms"
        if is_same
        else "It gives back other bytes than it was given."
    )
    return Finding("write and read", is_same, what)


def _ranges(blobs: BlobStore, place: str) -> Finding:
    data = bytes(range(256)) * 256
    blobs.put(f"{place}/ranges", [data])
    spans = [(0, 1), (255, 300), (40_000, 65_536), (65_000, 70_000), (65_536, 65_600)]
    wrong = [
        span for span in spans if bytes(blobs.read(f"{place}/ranges", span[0], span[1] - span[0])) != data[slice(*span)]
    ]
    if wrong:
        return _cannot("ranges", f"A part of a blob comes with other bytes than it has (bytes {wrong[0]}).")
    return _can("ranges", "Parts of a blob can be read alone.")


def _replaces(blobs: BlobStore, place: str) -> Finding:
    for number in range(5):
        blobs.put(f"{place}/again", [b"%d" % number])
        if blobs.get(f"{place}/again") != b"%d" % number:
            return _cannot("read after write", "Who reads right after a write gets what was there before it.")
    return _can("read after write", "What was written is what is read, at once.")


def _lists(blobs: BlobStore, place: str) -> Finding:
    wanted = [f"{place}/listed/{number:02}" for number in range(12)]
    for key in wanted:
        blobs.put(key, [b"x"])
    if [info.key for info in blobs.list(f"{place}/listed")] != wanted:
        return _cannot("list after write", "A listing lacks what was just written: 'ls' and 'gc' would miss it.")
    return _can("list after write", "A listing has what was just written.")


def _creates_once(blobs: BlobStore, place: str) -> Finding:
    create = _creator(blobs)
    first, second = create(f"{place}/once", b"first"), create(f"{place}/once", b"second")
    is_ok = first and not second and blobs.get(f"{place}/once") == b"first"
    if is_ok:
        return _can("create-only", "What is there already is not written over by who wants to be the first.")
    return _cannot("create-only", f"It does not honour create-only writes (If-None-Match: *). {ONE_RESULT}")


def _races(blobs: BlobStore, place: str) -> Finding:
    create = _creator(blobs)
    for number in range(_ROUNDS):
        key = f"{place}/race-{number}"
        with futures.ThreadPoolExecutor(RACERS) as threads:
            told = list(threads.map(lambda me, key=key: create(key, b"%d" % me), range(RACERS)))
        winners = [me for me, is_first in enumerate(told) if is_first]
        if len(winners) != 1 or blobs.get(key) != b"%d" % winners[0]:
            _note(blobs, is_create_only=False)
            return _cannot(
                "create race", f"Of {RACERS} at once, {len(winners)} were told to be the first. {ONE_RESULT}"
            )
    return _can("create race", f"Of {RACERS} that create a key at once, one is told that it did ({_ROUNDS} races).")


def _appends(blobs: BlobStore, place: str) -> Finding:
    book = f"{place}/book"
    with futures.ThreadPoolExecutor(RACERS) as threads:
        held = set(threads.map(lambda me: blobs.commit(book, "1", b'{"by":%d}' % me), range(RACERS)))
    records = dict(blobs.commits(book))
    if len(held) == 1 and held == set(records.values()):
        return _can("commits", f"{RACERS} that commit a result at once are told the same one.")
    return _cannot("commits", f"{RACERS} that commit a result at once were told {len(held)} different ones.")


def _large(blobs: S3Trials, place: str) -> Finding:
    data = os.urandom(1024) * (CHUNK_SIZE // 1024) + b"and a little more"
    key = f"{place}/large"
    blobs.put(key, [data])
    is_same = blobs.read(key) == data
    return Finding(
        "parts", is_same, "Large blobs go up and come down in parts." if is_same else "A large blob comes back changed."
    )


def _wrong_bytes(blobs: S3Trials, place: str) -> Finding:
    is_refused = blobs.refuses_wrong_bytes(f"{place}/wrong")
    what = "refused" if is_refused else "taken; pyflow verifies what it reads, and finds it then"
    return Finding(
        "damage on the way",
        is_refused,
        f"A write whose bytes are not those that were signed is {what}.",
        is_needed=False,
    )


def _clock(blobs: BlobStore, place: str) -> Finding:
    blobs.put(f"{place}/clock", [b"x"])
    info = blobs.info(f"{place}/clock")
    now = datetime.now(timezone.utc)
    off_s = 0.0 if info is None else abs((now - info.modified_at).total_seconds())
    if off_s <= _MOST_SKEW_S:
        return _can("clock", "The store's clock and this machine's agree.", is_needed=False)
    return _cannot(
        "clock",
        f"The store's clock and this machine's differ by {off_s:.0f} s: set this machine's.",
        is_needed=False,
    )


def _removes(blobs: BlobStore, place: str) -> Finding:
    try:
        blobs.delete([info.key for info in blobs.list(place)])
        left: Sequence[str] = [info.key for info in blobs.list(place)]
    except PyflowError as error:
        return _cannot("delete", f"{error} Runs work; 'pyflow gc' cannot.", is_needed=False)
    if left:
        return _cannot("delete", f"{len(left)} keys are listed after they were deleted.", is_needed=False)
    return _can("delete", "What was deleted is gone.", is_needed=False)


def _creator(blobs: BlobStore) -> Callable[[str, bytes], bool]:
    """What asks the store itself to create a key, with no help of pyflow's where the store cannot."""
    return blobs.create_as_asked if isinstance(blobs, S3Trials) else partial(blobs.create)


def _note(blobs: BlobStore, *, is_create_only: bool) -> None:
    if isinstance(blobs, S3Trials):
        blobs.note_create_only(is_honoured=is_create_only)
