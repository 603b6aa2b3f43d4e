"""``pyflow gc``: removes what no kept run refers to. What it owes to those who write meanwhile: ``store/sweeps.py``.

    begin (the store's clock) → runs that go → what the others refer to → blobs that are old and unnamed
    → for each batch: condemn, look again, remove, take back → what writers left unfinished

Killed at any point it leaves a correct store: of a run that goes, its record goes first, so that nobody finds half of one, and
what is left of it goes the next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Final

from pyflow.digest import is_digest
from pyflow.errors import ConfigError, NotFoundError, StoreError, add_note
from pyflow.failpoints import reached
from pyflow.store import LEAST_GRACE, SWEEP_LASTS, BlobInfo, ContentStore, condemn
from pyflow.upkeep.references import of_owner, owners, referred_elsewhere, run_ids
from pyflow.upkeep.remembered import remembered
from pyflow.upkeep.retention import Kept, Retention, may_go

_BATCH: Final = 1000
_HOUR: Final = timedelta(hours=1)

# From naming blobs to sending the last request to remove one: well below the time for which a sweep counts.
_BATCH_LASTS_S: Final = SWEEP_LASTS.total_seconds() / 5


@dataclass(slots=True)
class Collected:
    """What was removed, or would be."""

    runs: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    """Runs that the rules speak of, and that stay."""
    run_count: int = 0
    """Runs that stay, of all owners in the project."""
    blobs: int = 0
    size_bytes: int = 0
    young: int = 0
    """Blobs that nothing refers to and that are within the grace period."""
    unfinished: int = 0
    """Uploads and files that writers began and did not end."""
    failed: list[str] = field(default_factory=list)
    """What could not be removed, in the store's words."""


class Collector:
    """Collects what is not needed in one project of a store.

    Args:
        content: The store; runs of its owner may go, those of others never.
        grace: What is younger stays; None: nobody writes to the store meanwhile.

    Raises:
        ConfigError: The grace is shorter than what writers count on.
    """

    def __init__(self, content: ContentStore, *, grace: timedelta | None = timedelta(days=7)) -> None:
        if grace is not None and grace < LEAST_GRACE:
            raise ConfigError(
                f"The grace period is {grace / _HOUR:g}h, and must be {LEAST_GRACE / _HOUR:g}h or more: a task that finds a "
                "blob in the store counts on it for that long. If nobody writes to the store now, use --no-grace."
            )
        self._content = content
        self._grace = grace or timedelta(0)
        self._sweep_id = os.urandom(8).hex()
        self._is_in_doubt = False

    def look(self, retention: Retention | None = None) -> Collected:
        """What would be removed; nothing is."""
        collected, removable, unfinished = self._find(
            retention or Retention(), began=datetime.now(timezone.utc), may_write=False
        )
        for info in removable:
            _count(collected, info)
        collected.unfinished = len(unfinished)
        return collected

    def collect(self, retention: Retention | None = None) -> Collected:
        """Remove what is not needed; what was removed."""
        began = condemn(self._content.blobs, self._content.keys, self._sweep_id, [])
        try:
            collected, removable, unfinished = self._find(retention or Retention(), began=began, may_write=True)
            reached("gc.marked")
            for run_id in collected.runs:
                remove_run(self._content, run_id)
            for batch in _batches(removable):
                self._sweep(batch, began, collected)
            self._content.blobs.discard(info.key for info in unfinished)
            collected.unfinished = len(unfinished)
        finally:
            # When an answer was lost, what was asked for may still happen: then the sweep has to count on.
            own = [] if self._is_in_doubt else [self._content.keys.sweep(self._sweep_id)]
            self._content.blobs.delete([*own, *self._left_by_others(began)])
        return collected

    def _find(
        self, retention: Retention, *, began: datetime, may_write: bool
    ) -> tuple[Collected, Iterator[BlobInfo], list[BlobInfo]]:
        content = self._content
        going, kept = may_go(content, retention, now=began)
        collected = Collected(runs=[*going, *self._remains(began)], kept=kept)
        marked = set(referred_elsewhere(content))
        for owner in owners(content):
            theirs = of_owner(content, owner)
            for run_id in run_ids(theirs):
                if owner != content.keys.owner or run_id not in collected.runs:
                    # Another owner's folder may be closed to this one.
                    marked |= _marks(theirs, run_id, may_write=may_write and owner == content.keys.owner)
                    collected.run_count += 1
        unfinished = [info for info in content.blobs.unfinished() if self._is_old(info, began)]
        return collected, self._removable(marked, began, collected), unfinished

    def _remains(self, began: datetime) -> list[str]:
        """Folders of runs that have no record and whose parts are all old: a removal was broken off."""
        found = []
        for run_id in run_ids(self._content):
            if self._content.blobs.info(self._content.keys.run_info(run_id)) is None:
                parts = list(self._content.blobs.list(self._content.keys.run(run_id)))
                if parts and all(self._is_old(info, began) for info in parts):
                    found.append(run_id)
        return found

    def _removable(self, marked: set[str], began: datetime, collected: Collected) -> Iterator[BlobInfo]:
        for info in self._content.blobs.list(self._content.keys.blobs()):
            digest = _digest_of(info)
            if digest and digest not in marked:
                if self._is_old(info, began):
                    yield info
                else:
                    collected.young += not info.key.endswith(".chunks")

    def _sweep(self, batch: Sequence[BlobInfo], began: datetime, collected: Collected) -> None:
        """Remove blobs, unless somebody has made them young meanwhile."""
        blobs, keys = self._content.blobs, self._content.keys
        ends = time.monotonic() + _BATCH_LASTS_S
        condemn(blobs, keys, self._sweep_id, sorted({_digest_of(info) for info in batch}))
        reached("gc.condemned")
        still = {info.key: info for info in self._looked_at_again(batch) if self._is_old(info, began)}
        # A blob goes before the list of its chunks, so that what is there can always be verified.
        in_order = sorted(still, key=lambda key: (key.endswith(".chunks"), key))
        if time.monotonic() > ends:
            collected.failed.append("The store was too slow to remove anything safely; collect again later.")
            return
        try:
            blobs.delete(in_order, is_sent_once=True)
        except StoreError as error:
            self._is_in_doubt = True
            collected.failed.append(str(error))
            return
        reached("gc.deleted")
        for info in still.values():
            _count(collected, info)
        condemn(blobs, keys, self._sweep_id, [])
        reached("gc.released")

    def _looked_at_again(self, batch: Sequence[BlobInfo]) -> Iterator[BlobInfo]:
        """The blobs of a batch as they are now: a listing of their folders is cheaper than a look at each."""
        wanted = {info.key for info in batch}
        for folder in sorted({info.key.rpartition("/")[0] for info in batch}):
            yield from (info for info in self._content.blobs.list(folder) if info.key in wanted)

    def _left_by_others(self, began: datetime) -> list[str]:
        """Sweeps of collectors that were killed, which no longer count."""
        sweeps = self._content.blobs.list(self._content.keys.sweeps())
        return [info.key for info in sweeps if began - info.modified_at > SWEEP_LASTS]

    def _is_old(self, info: BlobInfo, began: datetime) -> bool:
        return info.modified_at <= began - self._grace


def remove_run(content: ContentStore, run_id: str) -> None:
    """Remove a run: its record first, so that nobody finds half of one."""
    blobs = content.blobs
    blobs.delete([content.keys.run_info(run_id)])
    blobs.delete([info.key for info in blobs.list(content.keys.run(run_id))])


def _marks(content: ContentStore, run_id: str, *, may_write: bool) -> frozenset[str]:
    try:
        return remembered(content, run_id, may_write=may_write)
    except StoreError as error:
        if isinstance(error, NotFoundError) and content.blobs.info(content.keys.run_info(run_id)) is None:
            return frozenset()  # it is being made, and what it needs is young; or it is being removed
        add_note(
            error,
            f"Nothing was removed, for it cannot be told what run {run_id} of {content.keys.owner!r} refers to. Restore "
            f"what is damaged, or let the run go: pyflow gc --remove {run_id}",
        )
        raise


def _digest_of(info: BlobInfo) -> str:
    """The digest of a blob, or of the blob whose chunks a list names; empty for what is neither."""
    name = info.key.rpartition("/")[2].removesuffix(".chunks")
    return name if is_digest(name) else ""


def _count(collected: Collected, info: BlobInfo) -> None:
    collected.blobs += not info.key.endswith(".chunks")
    collected.size_bytes += info.size_bytes


def _batches(infos: Iterable[BlobInfo]) -> Iterator[list[BlobInfo]]:
    left = iter(infos)
    while batch := list(islice(left, _BATCH)):
        yield batch
