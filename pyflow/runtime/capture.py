"""What tasks print, at the level of file descriptors, so that C code and child processes are heard too.

Standard output and error go to one file beside the process, the *spool*, in the order they were written.
What is in it is shipped to the log in the store, now and then while an attempt runs and when it has ended.
If the process dies in between, whoever started it finds the rest in the spool.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from pyflow.contract import LogSpan
from pyflow.failpoints import reached
from pyflow.runtime.screen import STDERR, STDOUT, Screen, flush_python, point_at
from pyflow.secrecy import Masker
from pyflow.store import BlobStore

_PIECE: Final = 1024 * 1024
_ECHO_INTERVAL_S: Final = 0.05


class Spool:
    """The file that this process prints to, and how much of it is in the store.

    Args:
        path: Where to make the file. Whoever starts the process knows it.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._shipped = 0
        self._target: tuple[BlobStore, str, str] | None = None
        self._log_end = 0
        self._screen: Screen | None = None
        self._shown_again: tuple[int, int] | None = None
        """A part of the file that is no news: what the author's own stream has written on while it was shown there."""
        self._is_taken = False
        """Standard output and error of this process go to the file, for good or for a while."""
        self.masker = Masker()
        """Hides what is secret in what is shipped and shown."""

    def take_standard_streams(self, *, shows: bool = False) -> None:
        """Let all that this process and its children print go to the file, from now on.

        Args:
            shows: What is shipped is also written to where standard output went before.
        """
        self._is_taken = True
        if shows:
            self._screen = Screen(os.dup(STDOUT))
        point_at(self._fd)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A process that dies by a signal loses what Python still holds; a line at a time is little.
                stream.reconfigure(line_buffering=True, errors="backslashreplace")

    def aim(self, blobs: BlobStore, key: str, writer: str) -> None:
        """Ship to this log from now on. The log has no other writer."""
        if self._target is None or self._target[1] != key:
            self._target = (blobs, key, writer)
            self._log_end = 0

    def capture(self) -> _Capture:
        """Keep what is printed within; the function that the block gets tells where, after it; None for nothing."""
        return _Capture(self)

    def begin(self) -> int:
        """An attempt begins to print; where in the log that will be."""
        return self._log_end

    def end(self) -> None:
        """An attempt has printed. It may have closed the descriptors, and the next file of a store that is opened would take their place."""
        if self._is_taken:
            point_at(self._fd)  # two system calls, and each a microsecond

    def ship(self, *, is_end: bool = False) -> None:
        """Append what is new to the log in the store."""
        with self._lock:
            size = os.fstat(self._fd).st_size
            while self._shipped < size and (self._target is not None or self._screen is not None):
                if self._shown_again is not None and self._shipped == self._shown_again[0]:
                    self._shipped, self._shown_again = self._shown_again[1], None
                    continue
                piece = self._next_piece(size, is_end=is_end)
                if not piece:
                    break
                if self._target is not None:
                    # This process is the first to write this log; what it leaves behind may be added by another.
                    self._target[0].append(self._target[1], piece, is_new=self._log_end == 0)
                    self._log_end += len(piece)
                self._shipped += len(piece)
                if self._screen is not None:
                    self._shown_again = self._screen.show(piece, self._fd) or self._shown_again
            if is_end and size:
                reached("log.before")
                if self._target is not None:
                    # Whoever hears of the end may read the log at once, and what follows may kill this process.
                    self._target[0].publish(self._target[1])
                os.ftruncate(self._fd, 0)
                self._shipped = 0
                reached("log.after")

    def _next_piece(self, size: int, *, is_end: bool) -> bytes:
        """What is to be shipped next, with secrets hidden; nothing while it may be the beginning of one."""
        size = size if self._shown_again is None else min(size, self._shown_again[0])
        piece = os.pread(self._fd, min(_PIECE, size - self._shipped), self._shipped)
        if not (is_end and self._shipped + len(piece) == size):
            piece = piece[: self.masker.ready(piece)]
        return self.masker.hide(piece)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def span(self, start: int) -> LogSpan | None:
        """What was shipped since the log ended there; None for nothing."""
        if self._target is None or self._log_end == start:
            return None
        return LogSpan(writer=self._target[2], start=start, end=self._log_end)

    @contextlib.contextmanager
    def borrowed_streams(self) -> Iterator[None]:
        """Within the block this process prints to the file, and what is shipped is shown where it would have been.

        For tasks that run in the caller's own process, where a person watches, or a debugger asks.
        """
        flush_python()
        screen, before, stop = Screen.of_process(), (sys.stdout, sys.stderr), threading.Event()
        echo = threading.Thread(target=self._ship_until, args=(stop,), daemon=True)
        try:
            point_at(self._fd)
            sys.stdout, sys.stderr = screen.printer(STDOUT), screen.printer(STDERR)
            self._screen, self._is_taken = screen, True
            echo.start()
            yield
        finally:
            flush_python()
            sys.stdout, sys.stderr = before
            stop.set()
            try:
                if echo.ident is not None:
                    echo.join()
                self.ship(is_end=True)
            finally:
                self._screen, self._shown_again, self._is_taken = None, None, False
                screen.close()

    def _ship_until(self, stop: threading.Event) -> None:
        while not stop.wait(_ECHO_INTERVAL_S):
            self.ship()


class _Capture:
    """One attempt's part of a spool, as a block; a generator would take three times as long."""

    __slots__ = ("_spool", "_start", "_streams")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def __enter__(self) -> Callable[[], LogSpan | None]:
        self._start = self._spool.begin()
        self._streams = sys.stdout, sys.stderr
        return lambda: self._spool.span(self._start)

    def __exit__(self, *_raised: object) -> None:
        self._spool.end()
        flush_python()
        sys.stdout, sys.stderr = map(_opened, self._streams)
        self._spool.ship(is_end=True)


def _opened(stream: TextIO | None) -> Any:
    """The stream, or, when a task has closed it, another one to the same place."""
    if not getattr(stream, "closed", False):
        return stream
    descriptor = io.FileIO(STDOUT, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(descriptor), errors="backslashreplace", line_buffering=True)
