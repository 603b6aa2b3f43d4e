"""A private folder for the files of one attempt, emptied when the attempt ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyflow.late import late

if TYPE_CHECKING:
    import shutil
else:
    shutil = late("shutil")


_BEFORE: Final[list[str]] = []
"""Where ``tempfile`` made its files before a task, for each that runs in this process."""


def temporary_folder() -> str | None:
    """Where files belong that outlive the task that may run in this process; None for where ``tempfile`` puts them."""
    return _BEFORE[0] if _BEFORE else None


class Scratch:
    """The folder where inputs that are files lie, and where the task's own temporary files go.

    Args:
        path: Where to make it, in a folder that belongs to this process alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd, self._changed_at = -1, 0
        self._open()

    def lend(self) -> str | None:
        """Let ``tempfile`` make its files here; the answer is where it made them before."""
        tempfile: Any = sys.modules.get("tempfile")
        if tempfile is None:
            return None
        before: str = tempfile.gettempdir()
        _BEFORE.append(before)
        tempfile.tempdir = str(self.path)
        return before

    def take_back(self, before: str | None) -> None:
        """Let ``tempfile`` make its files where it did, and remove all that was made here."""
        tempfile: Any = sys.modules.get("tempfile")
        if before is not None and tempfile is not None:
            _BEFORE.pop()
            tempfile.tempdir = before
        # A folder's time changes with its entries, and looking at it costs a tenth of listing it.
        if os.fstat(self._fd).st_mtime_ns == self._changed_at:
            return
        try:
            entries = list(os.scandir(self.path))
        except FileNotFoundError:  # the task has removed it
            os.close(self._fd)
            self._open()
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(FileNotFoundError):  # what the task has left running may remove its own
                    os.unlink(entry.path)
        self._changed_at = os.fstat(self._fd).st_mtime_ns

    def _open(self) -> None:
        self.path.mkdir(mode=0o700, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self._changed_at = os.fstat(self._fd).st_mtime_ns

    def close(self) -> None:
        """Let go of the folder, which is for whoever made its parent to remove."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
