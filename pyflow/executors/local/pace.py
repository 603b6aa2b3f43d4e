"""How many tasks to launch in advance: a few always, and many while they are short.

A task that waits in advance has been decided on: it no longer makes way for one that would have come
first. While tasks are short that costs nothing, and nobody waits for the driver to react.
"""

from __future__ import annotations

from typing import Final

_FEW_IN_ADVANCE: Final = 2
_AHEAD_S: Final = 0.008
"""How much work may wait in advance: longer than the driver may have to wait for a processor."""
_WEIGHT: Final = 0.2
"""Of the newest duration in the mean."""


class Pace:
    """How long tasks have taken lately, also in earlier runs of the same code."""

    def __init__(self) -> None:
        self._mean_s: float | None = None

    def note(self, duration_s: float) -> None:
        """An attempt took so long."""
        self._mean_s = duration_s if self._mean_s is None else self._mean_s + (duration_s - self._mean_s) * _WEIGHT

    @property
    def in_advance(self) -> int:
        """How many tasks may wait."""
        if self._mean_s is None:
            return _FEW_IN_ADVANCE
        return max(_FEW_IN_ADVANCE, int(_AHEAD_S / max(self._mean_s, 1e-6)))
