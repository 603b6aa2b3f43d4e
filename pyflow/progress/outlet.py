"""The way out to standard error, as it was when a run began.

Tasks of the ``inprocess`` executor have descriptors 1 and 2 for themselves while they run. A display
keeps a copy, so that its lines never end up in the log of a task.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from pyflow.terminal import clean

_STDERR = 2


class Outlet:
    """Writes text for people.

    Args:
        stream: Where to.
        is_terminal: Whether it is one, and so has a size.
        has_colour: Whether colours may be used.
    """

    def __init__(self, stream: TextIO, *, is_terminal: bool = False, has_colour: bool = False) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self.has_colour = has_colour
        self._is_own = False

    @classmethod
    def of_standard_error(cls) -> Outlet:
        """The process's standard error, or what stands for it."""
        stream = sys.stderr
        try:
            is_real, is_terminal = stream.fileno() == _STDERR, stream.isatty()
        except (OSError, AttributeError, ValueError):
            # A test's or an editor's own object; it stays the same whatever tasks do to descriptors.
            return cls(stream)
        has_colour = is_terminal and not os.environ.get("NO_COLOR")
        if not is_real:
            return cls(stream, is_terminal=is_terminal, has_colour=has_colour)
        # Open as long as this object is, which is as long as the run.
        own = open(os.dup(_STDERR), "w", encoding=stream.encoding, errors="replace")  # noqa: PTH123, SIM115
        outlet = cls(own, is_terminal=is_terminal, has_colour=has_colour)
        outlet._is_own = True
        return outlet

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        if self._is_terminal:
            with contextlib.suppress(OSError, ValueError):
                size = os.get_terminal_size(self._stream.fileno())
                return size.columns or 80, size.lines or 24
        return 80, 24

    def write(self, text: str) -> None:
        """Write at once. That nobody listens any more is no reason to end a run."""
        if self._stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def line(self, text: str) -> None:
        """Write one line of other people's text."""
        self.write(clean(text) + "\n")

    def close(self) -> None:
        """Let go of the copy, if this is one."""
        if self._is_own:
            with contextlib.suppress(OSError, ValueError):
                self._stream.close()
