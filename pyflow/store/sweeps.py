"""What a collector and a writer owe each other, so that no blob goes that somebody is about to refer to.

A blob that is there is not written again, so its age says nothing of who wants it. Hence:

1. Who finds a blob that is older than ``RENEW_AFTER`` writes it anew, which makes it young.
2. A collector removes only what was older than its grace when it began to look for references. Its grace is at least
   ``LEAST_GRACE``, so whatever a writer took for young stays for the difference between the two, in which
   the writer says what it wants it for.
3. Between the last look at a blob's age and its removal it may have been made young. So a collector first
   *condemns*: it names the blobs it is about to remove in a sweep, then looks at their age again, removes those that are
   still old, and takes the sweep back. Who has renewed a blob looks for a sweep that names it. If there is
   one it waits for its end, and renews again; if there is none it looks whether the blob is still there.

For 3 there are two cases. The sweep began after the writer looked for it: then the blob was young when the sweep
looked at ages. Or it had ended before: then the writer's look at the blob comes after the removal.

A collector that was killed leaves its sweep. It counts for ``SWEEP_LASTS``, which is longer than a collector may take
from naming blobs to removing the last of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from pyflow.errors import NotFoundError
from pyflow.store.keys import Keys
from pyflow.store.protocol import BlobStore

RENEW_AFTER: Final = timedelta(days=1)
LEAST_GRACE: Final = timedelta(days=2)
SWEEP_LASTS: Final = timedelta(minutes=15)


def condemn(blobs: BlobStore, keys: Keys, sweep_id: str, digests: Sequence[str]) -> datetime:
    """Say that these blobs are about to be removed; when that was, by the store's clock."""
    key = keys.sweep(sweep_id)
    blobs.put(key, [json.dumps({"digests": list(digests)}).encode()])
    info = blobs.info(key)
    if info is None:
        raise NotFoundError(f"The sweep {key!r} in {blobs.url} is gone: somebody removed it. Collect again.")
    return info.modified_at


def is_condemned(blobs: BlobStore, keys: Keys, digest: str, *, now: datetime) -> bool:
    """Whether a sweep that is not over names this blob.

    Args:
        blobs: The store.
        keys: Of the project.
        digest: Which blob.
        now: The time by the store's clock.
    """
    live = (info.key for info in blobs.list(keys.sweeps()) if now - info.modified_at < SWEEP_LASTS)
    return any(digest in _named(blobs, key) for key in live)


def _named(blobs: BlobStore, key: str) -> Iterable[str]:
    try:
        said = json.loads(blobs.get(key))
    except NotFoundError:
        return ()  # it ended between the two looks
    except ValueError:
        return ()  # no sweep of a collector: whatever it is, nothing is removed by it
    return said.get("digests", ()) if isinstance(said, dict) else ()
