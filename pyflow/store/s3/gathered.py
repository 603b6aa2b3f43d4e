r"""Many commits in one object: a copy beside the objects of their slots, for those who will read them all.

A process that has committed much writes that once more, together, when it is at its end or has 500 of them; whoever takes the
results of a whole map then sends a few requests instead of one for each::

    <book>/gathered_<slot>_<random>      a line for each record:  <key below the book> \t <record> \n

``<slot>`` is the first of them. What holds is said by the objects of the slots alone: a gathered record is one that was read or
written there, is judged as if it were read there, and where it is missing or not believed, the object itself is asked for.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from typing import Final

from pyflow.store.s3.bucket import Bucket

MANY: Final = 32
"""From so many on it is worth a request more."""
MOST: Final = 500
"""With so many it is time."""

_NAME: Final = "gathered_"
_MOST_BYTES: Final = 64 * 1024 * 1024
"""What is longer was written by somebody else, and is read this far."""


class Gathered:
    """What one process has committed to the book that it committed to last, and what others have gathered."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._book = ""
        self._mine: dict[str, None] = {}

    def note(self, book: str, key: str) -> bool:
        """The record at a key is one that this process has committed, or found in its place; whether it is time to write."""
        if book != self._book:
            self._book, self._mine = book, {}
        self._mine[key] = None
        return len(self._mine) >= MOST

    def write(self, book: str, record_at: Callable[[str], bytes | None]) -> None:
        """Write what was noted, when it is much.

        Args:
            book: Of these commits.
            record_at: The record at a key, as far as it is remembered.
        """
        if book != self._book or len(self._mine) < MANY:
            return
        keys, self._mine = list(self._mine), {}
        lines = []
        for key in keys:
            record = record_at(key)
            if record is not None:
                lines.append(b"%b\t%b\n" % (key[len(book) + 1 :].encode(), record))
        first = keys[0][len(book) + 1 :]
        self._bucket.put(f"{book}/{_NAME}{first}_{os.urandom(6).hex()}", [b"".join(lines)])

    def read(self, book: str, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Records with their keys, object by object, until there is one for each of the keys or no object is left."""
        left = set(wanted)
        for name in self._near(book, min(_number_of(key) for key in wanted)):
            if not left:
                return
            content = self._bucket.read(name, 0, _MOST_BYTES)
            for line in bytes(content or b"").splitlines():
                place, _, record = line.partition(b"\t")
                key = f"{book}/{place.decode('ascii', 'replace')}"
                left.discard(key)
                yield key, record

    def _near(self, book: str, first: list[int]) -> list[str]:
        """The objects, beginning with the one that most likely has a slot: items of a map are run in runs of neighbours."""
        found = sorted((_number_of(info.key), info.key) for info in self._bucket.listed_flat(f"{book}/{_NAME}"))
        start = max(0, bisect_right([number for number, _ in found], first) - 1)
        names = [name for _, name in found]
        return [*names[start:], *names[:start]]


def _number_of(key: str) -> list[int]:
    """Node and indices in a key, for sorting; of others nothing."""
    slot = key.rpartition("/")[2].removeprefix(_NAME).partition("_")[0]
    return [int(word) for word in slot.split(".") if word.isdecimal()]
