"""A private folder for one attempt, made when somebody asks for it and emptied when the attempt ends."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path


class Scratch:
    """Folders for the files of one attempt, below a folder that belongs to this process alone."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(mode=0o700, exist_ok=True)
        self._parent = parent
        self._numbers = count()
        self._changed_at = os.stat(parent).st_mtime_ns

    def folder(self) -> Path:
        """A new empty folder."""
        path = self._parent / f"v{next(self._numbers)}"
        path.mkdir(mode=0o700)
        return path

    def clear(self) -> None:
        """Remove all that was made here, also what the task itself left in its temporary folder."""
        # A folder's time changes with its entries, and looking at it costs a tenth of listing it.
        if os.stat(self._parent).st_mtime_ns == self._changed_at:
            return
        import shutil  # 10 ms, and most tasks leave no files

        for entry in list(os.scandir(self._parent)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
        self._changed_at = os.stat(self._parent).st_mtime_ns
