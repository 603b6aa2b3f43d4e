"""What events say of the end of an attempt."""

from __future__ import annotations

from pyflow.artifacts import size_of
from pyflow.contract import Outcome


def brief_of(outcome: Outcome) -> dict[str, object]:
    """What the journal says of an attempt; the rest is in its commit."""
    brief: dict[str, object] = {
        "slot": outcome.slot,
        "attempt": outcome.attempt,
        "duration_s": outcome.duration_s,
    }
    if outcome.result is not None:
        brief["size_bytes"] = size_of(outcome.result)
        if "." not in outcome.slot:
            # Of items of maps there may be very many, and a listing shows them together.
            brief["preview"] = outcome.preview
    if outcome.peak_memory_bytes:
        brief["peak_memory_bytes"] = outcome.peak_memory_bytes
    if outcome.log is not None:
        brief["log"] = [outcome.log.writer, outcome.log.start, outcome.log.end]
    return brief
