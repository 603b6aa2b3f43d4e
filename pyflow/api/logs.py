"""What tasks printed, read from the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from pyflow.runs import ENDED, AttemptView, RunView, SlotView
from pyflow.store import ContentStore

_POLL_S: Final = 0.5

_SPARSE: Final = 4
"""How many bytes may be read for one that is wanted."""


class AttemptLog(NamedTuple):
    """What one attempt printed."""

    attempt: AttemptView
    text: str


class LogReader:
    """Reads the logs of one run."""

    def __init__(self, content: ContentStore, run_id: str) -> None:
        self._content = content
        self._run_id = run_id

    def read(self, view: RunView, slots: Sequence[SlotView]) -> Iterator[AttemptLog]:
        """All that was printed so far, attempts in the order in which they started."""
        attempts = _attempts(slots)
        data_by_writer = self._read_writers(attempts)
        return (AttemptLog(attempt, self._text_of(view, attempt, data_by_writer)) for attempt in attempts)

    def _read_writers(self, attempts: Sequence[AttemptView]) -> dict[str, tuple[int, bytes]]:
        """What several attempts printed in one worker, from the first of them to the last, read at one go."""
        spans: dict[str, list[tuple[int, int]]] = {}
        for attempt in attempts:
            if attempt.log is not None:
                spans.setdefault(attempt.log[0], []).append(attempt.log[1:])
        found = {}
        for writer, places in spans.items():
            start, end = min(place[0] for place in places), max(place[1] for place in places)
            if len(places) > 1 and (end - start) <= _SPARSE * sum(stop - first for first, stop in places):
                key = self._content.keys.log(self._run_id, writer)
                found[writer] = (start, self._content.blobs.read_log(key, start, end))
        return found

    def follow(self, look: Callable[[], RunView], select: Callable[[RunView], Sequence[SlotView]]) -> Iterator[str]:
        """The lines that are printed, as they come, until the run has ended."""
        shown: dict[tuple[str, int], int] = {}
        is_last = False
        while not is_last:
            view = look()
            is_last = view.status in ENDED
            for attempt in _attempts(select(view)):
                key = (attempt.slot, attempt.number)
                text = self._text_of(view, attempt)[shown.get(key, 0) :]
                if attempt.status == "running" and not is_last:
                    text = text[: text.rfind("\n") + 1]
                shown[key] = shown.get(key, 0) + len(text)
                yield from text.splitlines()
            if not is_last:
                time.sleep(max(_POLL_S, self._content.blobs.poll_s))

    def _text_of(
        self,
        view: RunView,
        attempt: AttemptView,
        data_by_writer: Mapping[str, tuple[int, bytes]] = MappingProxyType({}),
    ) -> str:
        """What one attempt printed; of one that runs, what has reached the store."""
        blobs, keys = self._content.blobs, self._content.keys
        if attempt.log is not None:
            writer, start, end = attempt.log
            if writer in data_by_writer:
                first, data = data_by_writer[writer]
                return data[start - first : end - first].decode(errors="replace")
            return blobs.read_log(keys.log(self._run_id, writer), start, end).decode(errors="replace")
        if attempt.status not in {"running", "lost"}:
            return ""
        start = _log_start(view, attempt)
        return blobs.read_log(keys.log(self._run_id, attempt.worker), start).decode(errors="replace")


def _attempts(slots: Sequence[SlotView]) -> list[AttemptView]:
    return sorted((attempt for slot in slots for attempt in slot.attempts), key=lambda attempt: attempt.started_at)


def _log_start(view: RunView, attempt: AttemptView) -> int:
    """Where in its worker's log an attempt that has not ended begins: behind the ones before it."""
    attempts = [a for node in view.nodes.values() for slot in node.slots.values() for a in slot.attempts]
    return max((a.log[2] for a in attempts if a.log is not None and a.log[0] == attempt.worker), default=0)
