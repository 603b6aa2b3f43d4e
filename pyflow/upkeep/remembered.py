"""What a run refers to, found out once: a collector keeps it beside the run, so that the next one need not read every record.

It holds for the run as it was listed then: names, sizes and times of all that lies in its folder. A retry on a cluster that
adds a commit to a run that had ended makes another listing, and the run is read anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from pyflow.digest import is_digest
from pyflow.errors import NotFoundError
from pyflow.jsontext import dump
from pyflow.store import BlobInfo, ContentStore, about
from pyflow.upkeep.references import referred_by_run

_VERSION: Final = 1


def remembered(content: ContentStore, run_id: str, *, may_write: bool) -> frozenset[str]:
    """The digests of all blobs that a run refers to, from what an earlier look has kept, else from its records.

    Args:
        content: The store, with the keys of the run's owner.
        run_id: The run.
        may_write: Whether to keep what was found out, if the run has ended.

    Raises:
        NotFoundError: There is no such run, or its graph is gone.
        IntegrityError: Something that names blobs is damaged, so that not all of them can be told.
    """
    kept_at, listed = content.keys.references(run_id), list(content.blobs.list(content.keys.run(run_id)))
    state = _state_of(info for info in listed if info.key != kept_at)
    if any(info.key == kept_at for info in listed):
        kept = _kept(content, run_id, state)
        if kept is not None:
            return kept
    found = referred_by_run(content, run_id)
    if may_write and any(info.key == content.keys.summary(run_id) for info in listed):
        body = dump({"version": _VERSION, "state": state, "digests": sorted(found)}).encode()
        content.blobs.put(kept_at, [content.trust.seal(_about(run_id), body)])
    return found


def _state_of(listed: Iterable[BlobInfo]) -> str:
    lines = sorted(f"{info.key} {info.size_bytes} {info.modified_at.timestamp()}" for info in listed)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _kept(content: ContentStore, run_id: str, state: str) -> frozenset[str] | None:
    """What was kept; None when it is not of this state, not believed, or damaged."""
    try:
        body = content.trust.opened(_about(run_id), content.blobs.get(content.keys.references(run_id)))
        said = None if body is None else json.loads(body)
    except (NotFoundError, ValueError):
        return None
    if not isinstance(said, dict) or (said.get("version"), said.get("state")) != (_VERSION, state):
        return None
    digests = said.get("digests")
    if not isinstance(digests, list) or not all(isinstance(one, str) and is_digest(one) for one in digests):
        return None
    return frozenset(digests)


def _about(run_id: str) -> bytes:
    return about("references", run_id)
