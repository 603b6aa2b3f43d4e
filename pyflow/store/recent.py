"""The few open files that a store keeps at hand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The values used last, under their keys; the one unused for longest goes when there are too many.

    A value that goes is only let go of: one who still works with it can finish, and it closes what it
    holds when the last one has.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._value_by_key: OrderedDict[str, V] = OrderedDict()
        self._last: tuple[str, V] | None = None

    def get(self, key: str, make: Callable[[str], V]) -> V:
        """The value of a key, made when it is not at hand."""
        last = self._last
        if last is not None and last[0] == key:
            return last[1]
        with self._lock:
            value = self._value_by_key.get(key)
            if value is None:
                value = self._value_by_key[key] = make(key)
                if len(self._value_by_key) > self._most:
                    self._value_by_key.popitem(last=False)
            else:
                self._value_by_key.move_to_end(key)
            self._last = key, value
            return value

    def drop(self, key: str) -> None:
        """Let go of the value of a key, if there is one."""
        with self._lock:
            self._last = None
            self._value_by_key.pop(key, None)
