"""Which states a run and a node go through: the one table, walked by the tests and drawn in the docs."""

from __future__ import annotations

from typing import Final, Literal

Status = Literal["pending", "running", "succeeded", "failed", "cancelled", "lost", "skipped"]

TRANSITIONS: Final[dict[Status, tuple[Status, ...]]] = {
    "pending": ("running", "skipped", "cancelled", "failed"),
    # A node goes back to pending between two attempts.
    "running": ("pending", "succeeded", "failed", "cancelled", "lost"),
    "succeeded": (),
    "failed": (),
    "cancelled": (),
    "lost": (),
    "skipped": (),
}

ENDED: Final[frozenset[Status]] = frozenset(status for status, following in TRANSITIONS.items() if not following)


def is_allowed(before: Status, after: Status) -> bool:
    """Whether a run or node may go from one state to another."""
    return after in TRANSITIONS[before]
