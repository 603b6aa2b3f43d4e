"""A private folder for one attempt, made when somebody asks for it and removed when the attempt ends."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path


class Scratch:
    """Folders for the files of one attempt, below a folder that belongs to this process alone."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._numbers = count()
        self._used: list[Path] = []

    def folder(self) -> Path:
        """A new empty folder."""
        path = self._parent / f"v{next(self._numbers)}"
        path.mkdir(parents=True, mode=0o700)
        self._used.append(path)
        return path

    def clear(self) -> None:
        """Remove all that was made, and what the task itself left in the temporary folder."""
        if self._used or any(os.scandir(self._parent)) if self._parent.is_dir() else False:
            import shutil  # 10 ms, and most tasks leave no files

            for entry in list(os.scandir(self._parent)):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)
            self._used.clear()
