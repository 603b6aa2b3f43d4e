"""``pyflow store copy``: a run with all it refers to, from one store to another.

    blobs (verified as they are read) → commits → events and logs → other records → run.json

The record of the run comes last, so nobody finds half of a run; broken off, it is simply copied again, and what is there
is not copied twice. Run ids, slots and records stay as they are byte for byte, and with them what is signed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyflow.errors import IntegrityError, StoreError
from pyflow.failpoints import reached
from pyflow.store import BlobInfo, ContentStore
from pyflow.upkeep.references import others_of_run, referred_by_run

_PIECE = 8 * 1024 * 1024


@dataclass(slots=True)
class Copied:
    """What one run took to be copied."""

    run_id: str
    blobs: int = 0
    """Blobs that were not there yet."""
    size_bytes: int = 0
    """Of these."""
    present: int = 0
    """Blobs that were there."""
    missing: int = 0
    """Names of blobs that lead nowhere in the source: of what was removed, or of other things that look like digests."""
    commits: int = 0


def copy_run(source: ContentStore, target: ContentStore, run_id: str) -> Copied:
    """Copy a run that has ended. Copied again, it costs little and changes nothing.

    Raises:
        NotFoundError: The source has no such run.
        IntegrityError: Something of it is damaged, or the target holds another run of this name.
    """
    copied = Copied(run_id)
    record_key = source.keys.run_info(run_id)
    record = source.blobs.get(record_key)
    for digest in sorted(referred_by_run(source, run_id)):
        _copy_blob(source, target, digest, copied)
    reached("copy.blobs")
    copied.commits = _copy_commits(source, target, run_id)
    reached("copy.commits")
    run = source.keys.run(run_id)
    for folder in ("events", "logs"):
        for info in source.blobs.logs(f"{run}/{folder}"):
            _copy_log(source, target, info, run_id)
    target.blobs.flush()
    reached("copy.logs")
    for key in others_of_run(source, run_id):
        if key != record_key:
            target.blobs.put(key, [source.blobs.get(key)])
    if not target.blobs.create(record_key, record) and target.blobs.get(record_key) != record:
        raise IntegrityError(_other(target, run_id, "its record says something else"))
    target.blobs.flush()
    reached("copy.record")
    return copied


def _copy_commits(source: ContentStore, target: ContentStore, run_id: str) -> int:
    """Copy all records of all slots in their order, whoever believes them; how many slots have one."""
    book = source.keys.commits(run_id)
    wanted, there = _records_by_slot(source, book), _records_by_slot(target, book)
    for slot, records in there.items():
        if records != wanted.get(slot, [])[: len(records)]:
            raise IntegrityError(_other(target, run_id, f"for slot {slot} it has another result"))
    for slot, records in wanted.items():
        for record in records[len(there.get(slot, ())) :]:
            target.blobs.commit(book, slot, record, accepts=lambda _, held, record=record: held == record)  # type: ignore[misc]
    return len(wanted)


def _records_by_slot(content: ContentStore, book: str) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for slot, record in content.blobs.records(book):
        found.setdefault(slot, []).append(record)
    return found


def _copy_blob(source: ContentStore, target: ContentStore, digest: str, copied: Copied) -> None:
    info = source.blobs.info(source.keys.blob(digest))
    if info is None:
        copied.missing += 1
        return
    there = target.blobs.info(target.keys.blob(digest))
    if there is not None and there.size_bytes == info.size_bytes:
        target.renew_blob(digest)
        copied.present += 1
        return
    with source.lent_blob(digest, info.size_bytes) as data:
        target.put_blob([data])
    copied.blobs += 1
    copied.size_bytes += info.size_bytes


def _copy_log(source: ContentStore, target: ContentStore, info: BlobInfo, run_id: str) -> None:
    """Append what the target lacks of a log."""
    there = target.blobs.read_log(info.key)
    if there != source.blobs.read_log(info.key, 0, len(there)):
        raise IntegrityError(_other(target, run_id, f"its log {info.key!r} says something else"))
    position = len(there)
    while piece := source.blobs.read_log(info.key, position, position + _PIECE):
        started = target.blobs.append(info.key, piece)
        if started != position:
            raise StoreError(f"Somebody else writes to {info.key!r} in {target.blobs.url} meanwhile. Copy again later.")
        position += len(piece)
    target.blobs.seal(info.key)


def _other(target: ContentStore, run_id: str, how: str) -> str:
    return f"The store {target.blobs.url} holds another run {run_id}: {how}. Nothing of it was replaced."
