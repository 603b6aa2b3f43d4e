"""Which runs may go: by age, by count, never one that may still go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from pyflow.errors import NotFoundError
from pyflow.runs import RunRecord, RunSummary, is_caller_alive
from pyflow.store import ContentStore
from pyflow.upkeep.references import run_ids

SILENT_AFTER: Final = timedelta(days=7)
"""A run of another machine that has no end and has said nothing for so long has ended without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which runs may go. One that both rules speak of goes only if both let it."""

    older_than: timedelta | None = None
    """Only those that started longer ago."""
    keep_last: int | None = None
    """Not the latest so many of each pipeline."""
    run_ids: Sequence[str] = ()
    """These in any case, if they have ended."""

    @property
    def is_empty(self) -> bool:
        """Whether no run is to go."""
        return self.older_than is None and self.keep_last is None and not self.run_ids


@dataclass(frozen=True, slots=True)
class Kept:
    """A run that would go, and must not."""

    run_id: str
    why: str


def may_go(content: ContentStore, retention: Retention, *, now: datetime) -> tuple[list[str], list[Kept]]:
    """The runs of the owner that are to go, and those that stay though the rules speak of them.

    A folder of a run without a record is what is left of one whose removal was broken off; it goes as well.
    """
    going: list[str] = []
    kept: list[Kept] = []
    if retention.is_empty:
        return going, kept
    records = _records(content)
    for run_id in _asked_for(records, retention, now=now):
        why = why_not(content, records[run_id], now=now) if run_id in records else "there is no such run"
        if why:
            kept.append(Kept(run_id, why))
        else:
            going.append(run_id)
    return going, kept


def why_not(content: ContentStore, record: RunRecord, *, now: datetime | None = None) -> str:
    """Why a run counts as going on; empty when it has ended."""
    now = now or datetime.now(timezone.utc)
    if RunSummary.read(content, record.run_id) is not None:
        return ""
    is_alive = is_caller_alive(record)
    if is_alive is False:
        return ""
    if is_alive:
        return "it is running"
    latest = max((info.modified_at for info in content.blobs.list(content.keys.run(record.run_id))), default=now)
    if now - latest < SILENT_AFTER:
        return f"it has not ended, and {record.host!r}, where it was started, may be going on with it"
    return ""


def _asked_for(records: dict[str, RunRecord], retention: Retention, *, now: datetime) -> list[str]:
    found = list(retention.run_ids)
    if retention.older_than is None and retention.keep_last is None:
        return found
    seen: dict[str, int] = {}
    for record in sorted(records.values(), key=lambda record: (record.started_at, record.run_id), reverse=True):
        seen[record.pipeline] = seen.get(record.pipeline, 0) + 1
        is_recent = retention.keep_last is not None and seen[record.pipeline] <= retention.keep_last
        limit = retention.older_than
        is_young = limit is not None and now.timestamp() - record.started_at < limit.total_seconds()
        if not is_recent and not is_young and record.run_id not in found:
            found.append(record.run_id)
    return found


def _records(content: ContentStore) -> dict[str, RunRecord]:
    found = {}
    for run_id in run_ids(content):
        try:
            found[run_id] = RunRecord.read(content, run_id)
        except NotFoundError:
            continue  # it is being made, or removed
    return found
