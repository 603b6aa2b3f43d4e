"""Ends of runs that the store would not take, on a full disk as a rule, while the process that drove them lives on.

Who asks elsewhere takes such a run for one that goes on, since the process does. So it writes the end down as soon as it
can, and knows it until then.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from pyflow.errors import PyflowError
from pyflow.runs.record import RunSummary
from pyflow.store import ContentStore

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0

_unwritten: dict[tuple[str, str], RunSummary] = {}


def write_once_possible(summary: RunSummary, content: ContentStore) -> None:
    """Write the summary as soon as the store takes it, if that comes while this process lives."""
    _unwritten[_name(content, summary.run_id)] = summary
    writer = threading.Thread(target=_write, args=(summary, content), name=f"end of {summary.run_id}", daemon=True)
    writer.start()


def unwritten_summary(content: ContentStore, run_id: str) -> RunSummary | None:
    """How a run of this process ended that the store does not know of yet; None for any other."""
    return _unwritten.get(_name(content, run_id)) if _unwritten else None


def _write(summary: RunSummary, content: ContentStore) -> None:
    pause_s = _FIRST_PAUSE_S
    while not _is_settled(summary, content):
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
    _unwritten.pop(_name(content, summary.run_id), None)


def _is_settled(summary: RunSummary, content: ContentStore) -> bool:
    """Whether the summary is written, or its run removed meanwhile: nothing of a removed run comes back."""
    blobs, keys, run_id = content.blobs, content.keys, summary.run_id
    try:
        if blobs.info(keys.run_info(run_id)) is None:
            return bool(blobs.folders(keys.runs()))  # without any run the store itself is away: an unmounted drive
        if blobs.info(keys.summary(run_id)) is None:
            summary.write(content)
    except PyflowError:
        return False
    return True


def _name(content: ContentStore, run_id: str) -> tuple[str, str]:
    return (content.blobs.url, content.keys.summary(run_id))
