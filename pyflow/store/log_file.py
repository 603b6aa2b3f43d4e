"""One log in a folder: a file to which one writer appends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from pyflow.digest import Buffer
from pyflow.store.book import open_to_append
from pyflow.store.disk import write_all


class LogFile:
    """A log that this process appends to, with its descriptor kept open."""

    def __init__(self, path: str, make_parent: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._fd = -1
        self._fd = open_to_append(path, make_parent)

    def append(self, data: Buffer) -> int:
        """Add bytes to the end; where they start. When they do not fit, none of them stays."""
        with self._lock:
            size = data.nbytes if isinstance(data, memoryview) else len(data)
            if not size:  # a write of nothing does not move the position
                return os.lseek(self._fd, 0, os.SEEK_END)
            start = -1
            try:
                written = os.write(self._fd, data)
                start = os.lseek(self._fd, 0, os.SEEK_CUR) - written
                if written < size:
                    write_all(self._fd, [memoryview(data).cast("B")[written:]])
            except OSError:
                if start >= 0:
                    os.ftruncate(self._fd, start)
                raise
            return start

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._fd >= 0:
            close(self._fd)  # bound above: what is left at the end of the process finds ``os`` gone
