"""The figures that a run of the benchmarks gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number, what it should be at most, and what it was made from."""

    work: str
    """The workload, or `import`, `hello`, `scaling`, …"""
    what: str
    """What is measured, for a person."""
    peer: str = ""
    """The title of the peer, where the number is a ratio of pyflow to it."""
    value: float | None
    """`None` when there is none; then `note` says why."""
    unit: str = "×"
    limit: float | None = None
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the limit holds; `None` without a limit or without a number."""
        return None if self.limit is None or self.value is None else self.value <= self.limit

    def to_json(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {**asdict(self), "reached": self.reached}
