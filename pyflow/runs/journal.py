"""Events: what happened in a run, one JSON line each, appended by the one who drives it.

Where nobody drives it, as on a cluster, each pod writes a log of its own, and readers merge them by time.

    {"at": 1795455012.25, "event": "started", "slot": "3.1", "attempt": 1, "worker": "w1"}

``started`` and ``ended`` belong to attempts; ``paused`` (it will be tried again), ``waiting`` (its pod, for what; for nothing any more), ``skipped``,
``expanded`` and ``failed`` to nodes; ``run-started``, ``run-ended`` and ``cancel-requested`` to the run. Results are not among them: those are commits.

An attempt that ends before its start was written has one line for both, which readers are given as two events:

    {"at": 1795455012.26, "event": "ended", "slot": "3.1", "attempt": 1, …, "worker": "w1", "started_at": 1795455012.25}
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyflow.jsontext import Json, dump
from pyflow.late import late
from pyflow.runs.shape import is_event
from pyflow.store import ContentStore

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = late("concurrent.futures")

Event: TypeAlias = "dict[str, Json]"

WRITER: Final = "driver"
"""Who writes where one process drives the run."""

_READERS: Final = 16


class Journal:
    """Writes the events of one run. Nothing is visible to others before ``flush``.

    Args:
        writer: Who writes; a log has one writer, so each needs a name of its own.
        is_new: No other process has ever written under this name.
    """

    def __init__(
        self,
        content: ContentStore,
        run_id: str,
        *,
        writer: str = WRITER,
        now: Callable[[], float] = time.time,
        is_new: bool = False,
    ) -> None:
        self._content = content
        self._key = content.keys.events(run_id, writer)
        self._now = now
        self._is_new = is_new
        self._noted: list[Event | None] = []
        self._started: dict[str, int] = {}
        """Where in what was noted the start of a slot's attempt is."""

    def add(self, event: str, **details: Any) -> Event:
        """Note that something happened now."""
        noted = {"at": round(self._now(), 4), "event": event, **details}
        if event == "started":
            self._started[details["slot"]] = len(self._noted)
        elif event == "ended" and (place := self._started.pop(details["slot"], None)) is not None:
            self._noted.append(self._with_start(noted, place))
            return noted
        self._noted.append(noted)
        return noted

    def _with_start(self, ended: Event, place: int) -> Event:
        """One line for both ends of an attempt: many tasks are so short, and a line costs as much as they do."""
        started = self._noted[place]
        if started is None or started["attempt"] != ended["attempt"]:
            return ended
        self._noted[place] = None
        return {**ended, "worker": started["worker"], "started_at": started["at"]}

    def flush(self) -> None:
        """Append what was noted to the log in the store."""
        if self._noted:
            lines = [dump(event) for event in self._noted if event is not None]
            self._noted.clear()
            self._started.clear()
            self._content.blobs.append(self._key, ("\n".join(lines) + "\n").encode(), is_new=self._is_new)

    def seal(self) -> None:
        """Nothing more will be noted: let the log be read at one go."""
        self._content.blobs.seal(self._key)


def read_events(content: ContentStore, run_id: str) -> Iterator[Event]:
    """All events of a run so far, in their order. A line that a crash cut off is left out."""
    yield from EventReader(content, run_id).read_on()


class EventReader:
    """Reads the events of one run as they come, whoever writes them.

    Args:
        but: A writer whose events the reader knows already: itself.
    """

    def __init__(self, content: ContentStore, run_id: str, *, but: str | None = None) -> None:
        self._content = content
        self._folder = content.keys.all_events(run_id)
        self._driver = content.keys.events(run_id, WRITER)
        self._left_out = None if but is None else content.keys.events(run_id, but)
        self._read_to: dict[str, int] = {}

    def read_on(self) -> Iterator[Event]:
        """The events that were added since the last time: of each writer in its order, of several merged by time."""
        found = {info.key: info.size_bytes for info in self._content.blobs.logs(self._folder)}
        keys = [key for key, size in found.items() if size > self._read_to.get(key, 0) and key != self._left_out]
        if self._driver not in keys:
            # What this process itself writes may not have reached the listing yet.
            keys.append(self._driver)
        return heapq.merge(*self._read_all(keys), key=_when)

    def _read_all(self, keys: list[str]) -> list[list[Event]]:
        if len(keys) <= 2:
            return [self._read_one(key) for key in keys]
        with futures.ThreadPoolExecutor(min(_READERS, len(keys))) as pool:
            return list(pool.map(self._read_one, keys))

    def _read_one(self, key: str) -> list[Event]:
        start = self._read_to.get(key, 0)
        data = self._content.blobs.read_log(key, start)
        whole = data.rfind(b"\n") + 1
        self._read_to[key] = start + whole
        return list(_parsed(data[:whole]))


def _when(event: Event) -> float:
    return float(event["at"])


def _parsed(data: bytes) -> Iterator[Event]:
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            # Two writes met a full disk or a crash between them: the rest of the log is still good.
            continue
        if is_event(event):
            if event["event"] == "ended" and "started_at" in event:
                yield _start_in(event)
            yield event


def _start_in(ended: Event) -> Event:
    """Take the start of an attempt out of the line about its end."""
    at, worker = ended.pop("started_at"), ended.pop("worker")
    return {"at": at, "event": "started", "slot": ended["slot"], "attempt": ended["attempt"], "worker": worker}
