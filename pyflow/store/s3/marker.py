"""The marker of a store in a bucket: its layout, and whether the store honours create-only writes.

A store that ignores ``If-None-Match`` says yes to every writer, so nobody can ask it politely. It is tried out:
the marker is created twice, and a store that lets that happen has no create-only writes. What was found is kept in the
marker, so that this is done once in the life of a store.
"""

from __future__ import annotations

import threading
from typing import Final

from pyflow.store.keys import MARKER
from pyflow.store.layout import check_marker, marker_bytes
from pyflow.store.s3.bucket import Bucket

_FACT: Final = "create_only"


class Facts:
    """What is known of a store. It stays true, so the child of a fork need not find it out again."""

    has_looked = False
    create_only: bool | None = None


class Marker:
    """Finds out about a store in a bucket. It is looked at once in a process."""

    def __init__(self, bucket: Bucket, url: str, facts: Facts) -> None:
        self._bucket = bucket
        self._url = url
        self._facts = facts
        self._lock = threading.Lock()

    def check(self) -> None:
        """Make sure that the store, if there is one yet, has a layout that this pyflow can read.

        Raises:
            StoreError: It was made by a newer pyflow, or what says its layout is damaged.
        """
        with self._lock:
            if not self._facts.has_looked:
                self._look()

    @property
    def is_known_create_only(self) -> bool:
        """Whether the marker says, or this process has found out, that the store honours create-only writes."""
        return self._facts.create_only is True

    def prepare(self) -> None:
        """Make the marker when there is none.

        Raises:
            StoreError: As for ``check``.
        """
        self.has_create_only()

    def has_create_only(self) -> bool:
        """Whether the store honours create-only writes. The marker is made when there is none.

        Raises:
            StoreError: As for ``check``.
        """
        self.check()
        with self._lock:
            if self._facts.create_only is None:
                self._facts.create_only = self._try()
                self._bucket.put(MARKER, [marker_bytes(**{_FACT: self._facts.create_only})])
            return self._facts.create_only

    def note(self, *, is_create_only: bool) -> None:
        """Keep what somebody has found out by trying harder."""
        self.check()
        with self._lock:
            self._facts.create_only = is_create_only
            self._bucket.put(MARKER, [marker_bytes(**{_FACT: is_create_only})])

    def _look(self) -> None:
        content = self._bucket.read(MARKER)
        if content is not None:
            said = check_marker(bytes(content), at=f"{self._url}/{MARKER}", store=self._url)
            self._facts.create_only = said[_FACT] if isinstance(said.get(_FACT), bool) else None
        self._facts.has_looked = True

    def _try(self) -> bool:
        # A marker without the fact says nothing false, if this process ends in between. What the second call
        # is told is what a store without create-only writes cannot say.
        self._bucket.create(MARKER, marker_bytes())
        return not self._bucket.create(MARKER, marker_bytes())
