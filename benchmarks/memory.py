"""What the processes of a peer hold in memory of their own, sampled while a round runs.

Counted is `RssAnon` of `/proc/<pid>/status`: resident pages that belong to no file. Mapped files and shared memory
are left out, because the system may drop or share those. Linux only.
"""

from __future__ import annotations

import threading
from pathlib import Path

from processes import family

INTERVAL_S = 0.004


def anonymous_bytes(pid: int) -> int | None:
    """Resident anonymous memory of a process; `None` when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            text = status.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    _, found, rest = text.partition(b"RssAnon:")
    return int(rest.split(None, 1)[0]) * 1024 if found else None  # a zombie has none


class MemorySampler:
    """Samples a process and all below it in a thread of its own; a context manager.

    A process that starts while sampling goes on has nothing to compare with: all that it holds counts as growth.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, daemon=True)
        self.before = self._sample()
        self.peak = dict(self.before)
        self.peak_total = sum(self.before.values())

    def __enter__(self) -> MemorySampler:  # noqa: PYI034 - Self is not in Python 3.10's typing
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; the figures stay."""
        self._stop.set()
        self._thread.join()

    def growth(self) -> dict[int, int]:
        """By process, how far it went above what it held at the start."""
        return {pid: peak - self.before.get(pid, 0) for pid, peak in self.peak.items()}

    def growth_total(self) -> int:
        """How far all together went above what they held at the start."""
        return self.peak_total - sum(self.before.values())

    def _sample(self) -> dict[int, int]:
        sizes = {pid: anonymous_bytes(pid) for pid in family(self._pid)}
        return {pid: size for pid, size in sizes.items() if size is not None}

    def _sample_until_stopped(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            sizes = self._sample()
            for pid, size in sizes.items():
                self.peak[pid] = max(size, self.peak.get(pid, 0))
            self.peak_total = max(self.peak_total, sum(sizes.values()))


def trail_of(folder: Path) -> dict[int, int]:
    """By process, how many arrays the functions it ran held at most (see `peers/array_tasks.py`)."""
    held: dict[int, int] = {}
    for mark in folder.iterdir():
        pid, _, arrays = mark.name.partition(".")
        held[int(pid)] = max(int(arrays), held.get(int(pid), 0))
    return held
