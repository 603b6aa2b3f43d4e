"""Attempts that committed nothing, as blobs: for places from which no pipe leads back to the driver.

Whoever drives or watches the run reads an attempt's outcome when its container or pod has ended.
"""

from __future__ import annotations

import json
import time
from typing import Final, NamedTuple

from pyflow.contract import ErrorRecord, Invocation, LogSpan, Outcome
from pyflow.errors import EnvironmentMismatchError, NotFoundError
from pyflow.jsontext import dump
from pyflow.store import ContentStore, about

TIMED_OUT: Final = "pyflow.errors.TaskTimeoutError"
OUT_OF_MEMORY: Final = "pyflow.errors.OutOfMemoryError"
LOST: Final = "pyflow.errors.LostTaskError"
CANCELLED: Final = "pyflow.errors.RunCancelledError"
"""What the error record of an attempt says that did not end by itself."""

KILLED: Final = "its container was killed: by the cluster, or because it ran out of memory."
"""Of an attempt of which the pod itself knows no more. The cluster does, and what it says takes the place of this."""

LOST_TYPES: Final = frozenset({TIMED_OUT, OUT_OF_MEMORY, LOST, CANCELLED})


def leave_outcome(invocation: Invocation, outcome: Outcome, content: ContentStore) -> None:
    """Write down how an attempt failed.

    Raises:
        StoreError: The store did not take it.
    """
    record = content.trust.seal(_about(invocation), outcome.to_bytes())
    content.blobs.put(_key(invocation, content), [record])


def left_outcome(invocation: Invocation, content: ContentStore) -> Outcome | None:
    """What an attempt that committed nothing has left; None when it left nothing that can be read and believed."""
    try:
        body = content.trust.opened(_about(invocation), content.blobs.get(_key(invocation, content)))
        return None if body is None else Outcome.from_wire(json.loads(body))
    except (NotFoundError, ValueError, KeyError, TypeError, EnvironmentMismatchError):
        return None


def lost_outcome(
    invocation: Invocation,
    *,
    kind: str,
    reason: str,
    exit_code: int,
    started_at: float,
    log: LogSpan | None = None,
    peak_memory_bytes: int = 0,
) -> Outcome:
    """The outcome of an attempt that was ended before it could tell what came of it."""
    return Outcome(
        slot=invocation.slot,
        attempt=invocation.attempt,
        nonce=invocation.nonce,
        exit_code=exit_code,
        error=ErrorRecord(type=kind, message=reason, traceback=reason),
        started_at=started_at,
        duration_s=round(max(0.0, time.time() - started_at), 6),
        peak_memory_bytes=peak_memory_bytes,
        log=log,
    )


def is_lost(outcome: Outcome) -> bool:
    """Whether an attempt was ended from outside, rather than by its own code."""
    return outcome.error is not None and outcome.error.type in LOST_TYPES


class Heartbeat(NamedTuple):
    """The last sign of life of an attempt."""

    at: float
    """Seconds since 1970, UTC."""
    memory_bytes: int


def beat(invocation: Invocation, heartbeat: Heartbeat, content: ContentStore) -> None:
    """Write down that an attempt is alive.

    Raises:
        StoreError: The store did not take it.
    """
    text = dump({"at": round(heartbeat.at, 3), "memory_bytes": heartbeat.memory_bytes})
    content.blobs.put(_heartbeat_key(invocation, content), [text.encode()])


def last_heartbeat(invocation: Invocation, content: ContentStore) -> Heartbeat | None:
    """When an attempt was last alive; None when it has never said so."""
    try:
        return Heartbeat(**json.loads(content.blobs.get(_heartbeat_key(invocation, content))))
    except (NotFoundError, ValueError, TypeError):
        return None


def most_memory_told(run_id: str, slot: str, attempt: int, content: ContentStore) -> int:
    """The most memory that an attempt had at any sign of life, in bytes; 0 where it gave none.

    For whoever knows of an attempt no more than its number, because all that it was died at once.
    """
    prefix, mine = content.keys.heartbeats(run_id), f"{slot}.{attempt}."
    found = [info.key for info in content.blobs.list(prefix) if info.key.rpartition("/")[2].startswith(mine)]
    return max((int(json.loads(content.blobs.get(key))["memory_bytes"]) for key in found), default=0)


def out_of_memory_reason(*, limit_bytes: int | None, sample_bytes: int, said: str = "") -> str:
    """The sentence for an attempt that needed more memory than there was; ``said``: an engine's own words for it."""
    limit = f"it reached its limit of {_mib(limit_bytes)}" if limit_bytes else "the machine had no more"
    sample = f", and had {_mib(sample_bytes)} when last looked at" if sample_bytes else ""
    words = f" ({said})" if said else ""
    return (
        f"out of memory: {limit}{sample}{words}. "
        "Ask for more with memory=..., or let it grow from attempt to attempt with memory_on_oom=... and retries=..."
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"


def _about(invocation: Invocation) -> bytes:
    attempt = f"{invocation.slot}.{invocation.attempt}.{invocation.nonce}"
    return about("attempt", invocation.run_id, invocation.graph_digest, attempt)


def _key(invocation: Invocation, content: ContentStore) -> str:
    return content.keys.attempt(invocation.run_id, invocation.slot, invocation.attempt, invocation.nonce)


def _heartbeat_key(invocation: Invocation, content: ContentStore) -> str:
    return content.keys.heartbeat(invocation.run_id, invocation.slot, invocation.attempt, invocation.nonce)
