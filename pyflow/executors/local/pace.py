"""How many tasks to launch in advance: a few always, and many while they are short.

A task that waits in advance has been decided on: it no longer makes way for one that would have come
first. While tasks are short that costs nothing, and nobody waits for the driver to react.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_FEW_IN_ADVANCE: Final = 2
_AHEAD_S: Final = 0.008
"""How much work may wait in advance: longer than the driver may have to wait for a processor."""
_RECENT: Final = 9
"""So many durations say how long tasks take; half of them may be unlike the rest, as the join behind many short tasks is."""


class Pace:
    """How long tasks have taken lately, also in earlier runs of the same code."""

    def __init__(self) -> None:
        self._recent_s: deque[float] = deque(maxlen=_RECENT)

    def note(self, duration_s: float) -> None:
        """An attempt took so long."""
        self._recent_s.append(duration_s)

    @property
    def in_advance(self) -> int:
        """How many tasks may wait."""
        if not self._recent_s:
            return _FEW_IN_ADVANCE
        median_s = sorted(self._recent_s)[len(self._recent_s) // 2]
        return max(_FEW_IN_ADVANCE, int(_AHEAD_S / max(median_s, 1e-6)))
