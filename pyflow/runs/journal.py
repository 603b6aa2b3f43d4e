"""Events: what happened in a run, one JSON line each, appended by the one who drives it.

    {"at": 1795455012.25, "event": "started", "slot": "3.1", "attempt": 1, "worker": "w1"}

``started`` and ``ended`` belong to attempts; ``paused`` (it will be tried again), ``skipped``, ``expanded`` and
``failed`` to nodes; ``run-started``, ``run-ended`` and ``cancel-requested`` to the run. Results are not among them: those are commits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from pyflow.jsontext import Json, dump
from pyflow.store import ContentStore

Event: TypeAlias = "dict[str, Json]"

WRITER: Final = "driver"


class Journal:
    """Writes the events of one run. Nothing is visible to others before ``flush``."""

    def __init__(self, content: ContentStore, run_id: str, *, now: Callable[[], float] = time.time) -> None:
        self._content = content
        self._key = content.keys.events(run_id, WRITER)
        self._now = now
        self._lines: list[str] = []

    def add(self, event: str, **details: Any) -> Event:
        """Note that something happened now."""
        noted = {"at": round(self._now(), 4), "event": event, **details}
        self._lines.append(dump(noted))
        return noted

    def flush(self) -> None:
        """Append what was noted to the log in the store."""
        if self._lines:
            data = "\n".join(self._lines) + "\n"
            self._lines.clear()
            self._content.blobs.append(self._key, data.encode())


def read_events(content: ContentStore, run_id: str) -> Iterator[Event]:
    """All events of a run so far, in their order. A line that a crash cut off is left out."""
    data = content.blobs.read_log(content.keys.events(run_id, WRITER))
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            # Two writes met a full disk or a crash between them: the rest of the log is still good.
            continue
        if isinstance(event, dict):
            yield event
