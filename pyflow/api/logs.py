"""What tasks printed, read from the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pyflow.runs import ENDED, AttemptView, RunView, SlotView
from pyflow.store import ContentStore

_POLL_S: Final = 0.5


class LogReader:
    """Reads the logs of one run."""

    def __init__(self, content: ContentStore, run_id: str) -> None:
        self._content = content
        self._run_id = run_id

    def read(self, view: RunView, select: Callable[[RunView], Sequence[SlotView]]) -> str:
        """All that was printed so far, attempts in the order in which they started."""
        return "".join(self._text_of(view, attempt) for attempt in _attempts(select(view)))

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
                time.sleep(_POLL_S)

    def _text_of(self, view: RunView, attempt: AttemptView) -> str:
        """What one attempt printed; of one that runs, what has reached the store."""
        blobs, keys = self._content.blobs, self._content.keys
        if attempt.log is not None:
            writer, start, end = attempt.log
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
