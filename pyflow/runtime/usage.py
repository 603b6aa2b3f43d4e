"""What an attempt took: time by a clock that never goes back, CPU time, peak memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import Final, NamedTuple

# macOS counts bytes where Linux counts KiB (getrusage(2)).
_MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


class Taken(NamedTuple):
    """What an attempt took."""

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    """The most memory that was resident at once; where that cannot be reset, since the process began."""


class Usage:
    """Measures from the moment it is made, for this process and the children it has waited for."""

    def __init__(self) -> None:
        _reset_peak()
        self._wall = time.monotonic()
        self._cpu = _cpu()

    def so_far(self) -> Taken:
        """What was taken since the beginning."""
        return Taken(
            round(time.monotonic() - self._wall, 6),
            round(_cpu() - self._cpu, 6),
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT,
        )


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class _PeakReset:
    """Resets the peak resident set size of this process, where the system can (proc(5): clear_refs)."""

    def __init__(self) -> None:
        self._fd: int | None = None
        # The file is that of the process which opened it.
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self) -> None:
        fd = self._opened() if self._fd is None else self._fd
        if fd >= 0:
            os.write(fd, b"5")

    def _forget(self) -> None:
        self._fd = None

    def _opened(self) -> int:
        # Kept open, because opening costs more than the rest. Other systems do not
        # have the file, and some containers do not allow it: the peak is then that of the whole process.
        try:
            self._fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
        except OSError:
            self._fd = -1
        return self._fd


_reset_peak = _PeakReset()


def resident_bytes() -> int:
    """How much memory this process has now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
