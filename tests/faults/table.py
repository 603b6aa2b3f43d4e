"""What was tried, and what came of it: the table fault × store."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass
class Table:
    """Counts of injections by fault and store, and the words for those that broke a promise."""

    tried: dict[tuple[str, str], int] = field(default_factory=dict)
    kept: dict[tuple[str, str], int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=dict)

    def add(self, fault: str, store: str, why_broken: str = "", *, count: int = 1) -> None:
        """One injection has ended; with the reason when it did not end as promised."""
        key = (fault, store)
        self.tried[key] = self.tried.get(key, 0) + count
        self.kept[key] = self.kept.get(key, 0) + (0 if why_broken else count)
        if why_broken:
            self.broken.append(f"{fault} on {store}: {why_broken}")

    def to_json(self) -> str:
        """The table as one line."""
        rows = [[*key, tried, self.kept[key]] for key, tried in self.tried.items()]
        return json.dumps({"rows": rows, "broken": self.broken})

    def merge(self, line: str) -> None:
        """Take in what ``to_json`` of another table gave."""
        said = json.loads(line)
        for fault, store, tried, kept in said["rows"]:
            self.tried[fault, store] = self.tried.get((fault, store), 0) + tried
            self.kept[fault, store] = self.kept.get((fault, store), 0) + kept
        self.broken += said["broken"]

    @property
    def total(self) -> int:
        """All injections."""
        return sum(self.tried.values())

    def markdown(self) -> str:
        """The table: in each cell how many were tried, and how many of them ended as promised where that differs."""
        stores = sorted({store for _, store in self.tried})
        lines = ["| fault | " + " | ".join(stores) + " |", "|---|" + "---:|" * len(stores)]
        for fault in dict.fromkeys(fault for fault, _ in self.tried):
            lines.append(f"| {fault} | " + " | ".join(self._cell(fault, store) for store in stores) + " |")
        sums = [self._cell_of(*self._sum(store)) for store in stores]
        lines.append("| **all** | " + " | ".join(f"**{text}**" for text in sums) + " |")
        return "\n".join(lines)

    def _sum(self, store: str) -> tuple[int, int]:
        keys = [key for key in self.tried if key[1] == store]
        return sum(self.tried[key] for key in keys), sum(self.kept[key] for key in keys)

    def _cell(self, fault: str, store: str) -> str:
        return self._cell_of(self.tried.get((fault, store), 0), self.kept.get((fault, store), 0))

    @staticmethod
    def _cell_of(tried: int, kept: int) -> str:
        if not tried:
            return ""
        return f"{tried} ✓" if tried == kept else f"{tried}, {tried - kept} broken"
