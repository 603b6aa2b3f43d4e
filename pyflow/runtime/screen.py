"""Where what tasks print is seen, while descriptors 1 and 2 of this process lead to a file."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
import threading
from typing import Any, Final, TextIO

STDOUT: Final = 1
STDERR: Final = 2


class Screen:
    """What a person looks at, or whatever else has had standard output before.

    Args:
        stdout: A descriptor for where 1 led before.
        stderr: The same of 2, where both are to be given back.
        stream: The author's own object in place of standard output: a notebook's, a test runner's, one that writes to a file as well.
        number: Which of the two is looked at: 2 where standard output is sent to standard error.
    """

    def __init__(
        self, stdout: int, stderr: int | None = None, stream: TextIO | None = None, number: int = STDOUT
    ) -> None:
        self._saved = {STDOUT: stdout, STDERR: stderr}
        self.stream = stream
        self._number = number
        self._lock = threading.RLock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._leads_back = False
        self._is_seen = True

    @classmethod
    def of_process(cls) -> Screen:
        """What this process prints to now; ``close`` gives that back."""
        number = _descriptor_of(sys.stdout)
        is_own = sys.stdout is not None and number not in {STDOUT, STDERR}
        return cls(
            os.dup(STDOUT),
            os.dup(STDERR),
            sys.stdout if is_own else None,
            STDERR if number == STDERR else STDOUT,
        )

    def show(self, piece: bytes, file: int) -> tuple[int, int] | None:
        """Show a piece of what was printed to a file that descriptor 1 leads to; when nobody can see it any more, do nothing.

        Returns:
            Which part of the file was written in the course of that, and is not to be shown again: an object of the author's that
            prints to standard output itself prints to the file meanwhile. None for none.
        """
        if not self._is_seen:
            return None
        try:
            if self.stream is not None:
                return self._show_on_stream(self.stream, piece, file)
            self._write(piece)
        except Exception:  # noqa: BLE001  the stream is the author's
            # The reader of a pipe has had enough, a disk is full, the stream is closed. The log has all of it.
            self._is_seen = False
        return None

    def _show_on_stream(self, stream: TextIO, piece: bytes, file: int) -> tuple[int, int] | None:
        text = self._decoder.decode(piece)
        if self._leads_back:
            # Only then, for what another thread prints below Python meanwhile is seen, and not in the log.
            with self._lock:
                self._give_back()
                try:
                    _write_text(stream, text)
                finally:
                    point_at(file)
            return None
        size = os.fstat(file).st_size
        with self._lock:
            _write_text(stream, text)
        came = os.pread(file, os.fstat(file).st_size - size, size)
        start, end = _part_of(came, piece)
        if start == end:
            return None
        self._leads_back = True
        self._write(came[start:end])
        return size + start, size + end

    def printer(self, number: int) -> TextIO:
        """What to print to meanwhile: it writes to that descriptor, and a task may close it."""
        raw = io.BufferedWriter(_ToDescriptor(number, self._lock))
        return io.TextIOWrapper(raw, errors="backslashreplace", line_buffering=True)

    def _write(self, piece: bytes) -> None:
        shown_on, rest = self._saved[self._number], memoryview(piece)
        while rest and shown_on is not None:
            rest = rest[os.write(shown_on, rest) :]

    def close(self) -> None:
        """Let descriptors 1 and 2 lead again to where they led before."""
        self._give_back()
        for copy in self._saved.values():
            if copy is not None:
                os.close(copy)

    def _give_back(self) -> None:
        for number, copy in self._saved.items():
            if copy is not None:
                os.dup2(copy, number)


class _ToDescriptor(io.FileIO):
    """A standard stream, but for the moments in which it leads elsewhere. It stays open: a task may have given it to a logger."""

    def __init__(self, number: int, lock: threading.RLock) -> None:
        super().__init__(number, "w", closefd=False)
        self._lock = lock

    def write(self, data: Any, /) -> int:
        """Write to it once it leads to the file."""
        with self._lock:
            return super().write(data)


def point_at(fd: int) -> None:
    """Let descriptors 1 and 2 lead to a file."""
    os.dup2(fd, STDOUT)
    os.dup2(fd, STDERR)


def _part_of(came: bytes, piece: bytes) -> tuple[int, int]:
    """Which part of what came is the piece; all of it, where it has the piece in another form, with a time before each line, say."""
    start = came.find(piece)
    if start >= 0:
        return start, start + len(piece)
    line = max(piece.split(b"\n"), key=len).strip()
    return (0, len(came)) if line and line in came else (0, 0)


def _write_text(stream: TextIO, text: str) -> None:
    stream.write(text)
    _flush(stream)


def flush_python() -> None:
    """Hand over what Python holds of what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            _flush(stream)


def _flush(stream: TextIO | None) -> None:
    # The author's own object may have no more than ``write``, and there may be none.
    flush = getattr(stream, "flush", None)
    if flush is not None:
        flush()


def _descriptor_of(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, AttributeError, ValueError):
        return None
