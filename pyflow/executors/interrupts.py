"""Ctrl-C while a run is driven: once asks it to stop, twice ends it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """How often somebody has pressed Ctrl-C since the run began."""

    def __init__(self) -> None:
        self.count = 0
        self.raises_at_once = False
        """Set while the author's code runs in this thread, which only an exception can stop."""

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Count, and raise where waiting would not help."""
        self.count += 1
        if self.raises_at_once or self.count > 1:
            raise KeyboardInterrupt


@contextlib.contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """Within the block Ctrl-C is counted. Outside of the main thread, which alone gets signals, nothing changes."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.getsignal(signal.SIGINT)
    if before is None or before is signal.SIG_IGN:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.on_signal)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
