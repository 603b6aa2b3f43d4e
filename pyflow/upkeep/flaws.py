"""What a verification tells: what was looked at, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is not as it was written."""

    kind: str
    """``run``, ``summary``, ``graph``, ``commit``, ``event``, ``log``, ``blob`` or ``chunks``."""
    key: str
    """Where it lies."""
    run_id: str = ""
    """The run that it belongs to, or that refers to it."""
    node: str = ""
    """The node whose result or error it is."""
    problem: str = ""
    is_harmless: bool = False
    """What a crash leaves behind: no result is lost, and whoever reads leaves it out."""


@dataclass(slots=True)
class Checked:
    """How much was looked at."""

    runs: int = 0
    commits: int = 0
    events: int = 0
    blobs: int = 0
    size_bytes: int = 0
    """Of the blobs."""
