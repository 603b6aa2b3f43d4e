"""What an attempt took: time by a clock that never goes back, CPU time, peak memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import Final

# macOS counts bytes where Linux counts KiB (getrusage(2)).
_MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


class Usage:
    """Measures from the moment it is made, for this process and the children it has waited for."""

    def __init__(self) -> None:
        _reset_peak()
        self._wall = time.monotonic()
        self._cpu = _cpu()

    def wall_s(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self._wall, 6)

    def cpu_s(self) -> float:
        """Seconds of CPU time since the beginning."""
        return round(_cpu() - self._cpu, 6)

    def peak_memory_bytes(self) -> int:
        """The most memory that was resident at once; where it cannot be reset, since the process began."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class _PeakReset:
    """Resets the peak resident set size of this process, where the system can (proc(5): clear_refs)."""

    def __init__(self) -> None:
        self._pid = 0
        self._fd = -1

    def __call__(self) -> None:
        if self._pid != os.getpid():
            self._open()
        if self._fd >= 0:
            os.write(self._fd, b"5")

    def _open(self) -> None:
        # Kept open, because opening costs more than the rest; a fork has its own. Other systems do not
        # have the file, and some containers do not allow it: the peak is then that of the whole process.
        self._pid = os.getpid()
        try:
            self._fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
        except OSError:
            self._fd = -1


_reset_peak = _PeakReset()


def resident_bytes() -> int:
    """How much memory this process has now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
