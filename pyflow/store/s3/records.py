"""The commits that this process has seen lately. A commit holds forever, so none of them is asked for again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

# Tasks that read the results of thousands of small tasks find most of what their own process committed.
_MOST_BYTES: Final = 16 * 1024 * 1024
_OVERHEAD: Final = 300


class Records:
    """Records by their keys, up to a number of bytes; what was not used for longest goes first."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._record_by_key: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def get(self, key: str) -> bytes | None:
        """A record that was seen; None when it was not, or is forgotten."""
        with self._lock:
            record = self._record_by_key.get(key)
            if record is not None:
                self._record_by_key.move_to_end(key)
            return record

    def add(self, key: str, record: bytes) -> None:
        """Remember a record."""
        with self._lock:
            if key not in self._record_by_key:
                self._record_by_key[key] = record
                self._size += _OVERHEAD + len(record)
            while self._size > self._most_bytes:
                _, old = self._record_by_key.popitem(last=False)
                self._size -= _OVERHEAD + len(old)

    def forget(self, keys: Iterable[str]) -> None:
        """Let go of these."""
        with self._lock:
            for key in keys:
                record = self._record_by_key.pop(key, None)
                if record is not None:
                    self._size -= _OVERHEAD + len(record)
