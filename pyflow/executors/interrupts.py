"""Ctrl-C and SIGTERM while a run is driven: once asks it to stop, twice ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """How often somebody has pressed Ctrl-C, or asked this process to end, since the run began."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self.count = 0
        self.is_to_end = False
        """This process was asked to end (SIGTERM), and nobody else in it has heard that."""
        self.raises_at_once = False
        """Set while the author's code runs in this thread, which only an exception can stop."""
        self.most = 1
        """How many presses are counted only, wherever they interrupt; what has borrowed much of the process has to give it back."""

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Count, and raise where waiting would not help."""
        if os.getpid() != self._process or (self.is_to_end and number == signal.SIGTERM):
            # A child that a task or the author has forked has no run to stop; and who asks twice waits for nothing.
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
            os.kill(os.getpid(), number)
            return
        self.count += 1
        self.is_to_end = self.is_to_end or number == signal.SIGTERM
        if self.raises_at_once or self.count > self.most:
            raise KeyboardInterrupt


@contextlib.contextmanager
def counted_interrupts(*, ends_runs: bool = False) -> Iterator[Interrupts]:
    """Within the block Ctrl-C is counted. Outside of the main thread, which alone gets signals, nothing changes.

    Args:
        ends_runs: The run ends with this process. So SIGTERM is counted, too, where the process would end by it at once: by
            whoever has called ``carry_out``, who sees to that end when the run has ended.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {signal.SIGINT: signal.getsignal(signal.SIGINT)}
    if before[signal.SIGINT] in {None, signal.SIG_IGN}:
        before = {}
    if ends_runs and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        before[signal.SIGTERM] = signal.SIG_DFL
    for number in before:
        signal.signal(number, interrupts.on_signal)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
