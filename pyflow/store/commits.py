"""The commits of one run: signed when they are made, and believed only when they are signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pyflow.errors import IntegrityError
from pyflow.store.protocol import BlobStore
from pyflow.store.trust import Trust, about, advice

_MOST_MINE: Final = 1000
"""Of half a kilobyte each, as a rule."""


class RunCommits:
    """The book of commits of one run.

    A record that is not believed counts for nothing: the first one of a slot that is believed holds.

    Args:
        blobs: The store.
        book: The key of the book.
        run_id: The run.
        graph_digest: What the run runs.
        trust: What is believed here.
    """

    def __init__(self, blobs: BlobStore, book: str, run_id: str, graph_digest: str, trust: Trust) -> None:
        self.book = book
        self._blobs = blobs
        self.run_id = run_id
        self.graph_digest = graph_digest
        self._trust = trust
        self._start = about("commit", run_id, graph_digest)
        self._last: tuple[bytes, bytes] = (b"", b"")
        """The record that was looked at last, and its body; a signature need not be checked twice in a row."""
        self._mine: dict[str, bytes] = {}
        """The slots that were committed here lately, and the bodies of their records."""

    def commit(self, slot: str, body: bytes) -> bytes:
        """Make this the record of a slot unless there is one; the one that holds, without its signature.

        Args:
            slot: Node and index vector as one word.
            body: One line of JSON, an object.
        """
        record = self._trust.seal(self._about(slot), body)
        held = self._blobs.commit(self.book, slot, record, accepts=self._accepts)
        if held == record:
            # It holds for good, and is often asked for here: by whoever goes on with a chain, or joins what a map has made.
            if len(self._mine) == _MOST_MINE:
                self._mine.clear()
            self._mine[slot] = body
            return body
        return self._opened(slot, held)

    def committed(self, slot: str) -> bytes | None:
        """The record that holds for a slot, without its signature; None while there is none."""
        mine = self._mine.get(slot)
        if mine is not None:
            return mine
        held = self._blobs.committed(self.book, slot, accepts=self._accepts)
        return None if held is None else self._opened(slot, held)

    def prefetch(self, slots: Iterable[str]) -> None:
        """Somebody is about to ask for these records: bring near what is far, many at once."""
        self._blobs.prefetch(self.book, slots, accepts=self._accepts)

    def gather(self) -> None:
        """This process has committed what it will: help those who are to read many of its records."""
        self._blobs.gather(self.book)

    def slots(self) -> Sequence[str]:
        """All slots that have a record; who wants to rely on one asks for it by ``committed``."""
        return self._blobs.slots(self.book)

    def all(self) -> Iterator[tuple[str, bytes]]:
        """All slots that have a record that holds, with it."""
        for slot, record in self._blobs.commits(self.book, accepts=self._accepts):
            yield slot, self._opened(slot, record)

    def check_missing(self, slot: str, what: str) -> None:
        """Say why a slot has no record that holds, when it has one that is not believed.

        Args:
            slot: One that ``committed`` has no record of.
            what: Whose record it is, for the message.

        Raises:
            IntegrityError: It has; the message names run, node and key.
        """
        record = self._blobs.committed(self.book, slot)
        if record is not None:
            why = self._trust.objection(self._about(slot), record)
            raise IntegrityError(
                f"The record of {what} in run {self.run_id} ({self.book}, slot {slot}) in {self._blobs.url} is not believed: {why}. "
                + advice(self._blobs.url)
            )

    def objection(self, slot: str, record: bytes) -> str:
        """Why a record is not believed, in words; empty when it is."""
        return self._trust.objection(self._about(slot), record)

    def _about(self, slot: str) -> bytes:
        return b"%b%b\0" % (self._start, slot.encode())

    def _accepts(self, slot: str, record: bytes) -> bool:
        body = self._trust.opened(self._about(slot), record)
        if body is None:
            return False
        self._last = record, body
        return True

    def _opened(self, slot: str, record: bytes) -> bytes:
        last, body = self._last
        # The same object, so the slot is the same, too.
        if last is record:
            return body
        opened = self._trust.opened(self._about(slot), record)
        assert opened is not None  # the store was told what to accept
        return opened
