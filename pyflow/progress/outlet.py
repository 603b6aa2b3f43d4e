"""The way out to standard error, as it was when a run began.

Tasks of the ``inprocess`` executor have descriptors 1 and 2 for themselves while they run. A display
keeps a copy, so that its lines never end up in the log of a task.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

from pyflow.late import late
from pyflow.terminal import clean

if TYPE_CHECKING:
    from rich import console as rich_console
else:
    rich_console = late("rich.console")

_STDERR = 2


class Outlet:
    """Writes text for people.

    Args:
        stream: Where to.
        has_colour: Whether colours may be used.
    """

    def __init__(self, stream: TextIO, *, has_colour: bool = False) -> None:
        self._stream = stream
        self.has_colour = has_colour
        self._is_own = False
        self._console: rich_console.Console | None = None

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
            return cls(stream, has_colour=has_colour)
        # Open as long as this object is, which is as long as the run.
        own = open(os.dup(_STDERR), "w", encoding=stream.encoding, errors="replace")  # noqa: PTH123, SIM115
        outlet = cls(own, has_colour=has_colour)
        outlet._is_own = True
        return outlet

    def console(self) -> rich_console.Console:
        """What ``rich`` draws on: always the same one, which writes here."""
        if self._console is None:
            self._console = rich_console.Console(
                # It only ever writes to it, and that must not end a run when nobody listens any more.
                file=cast("TextIO", self),
                force_terminal=True,
                force_jupyter=False,
                color_system="auto" if self.has_colour else None,
            )
        return self._console

    def write(self, text: str) -> None:
        """Write at once. That nobody listens any more is no reason to end a run."""
        if self._stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

    def flush(self) -> None:
        """All of it is written already."""

    def line(self, text: str) -> None:
        """Write one line of other people's text."""
        self.write(clean(text) + "\n")

    def close(self) -> None:
        """Let go of the copy, if this is one."""
        if self._is_own:
            with contextlib.suppress(OSError, ValueError):
                self._stream.close()
