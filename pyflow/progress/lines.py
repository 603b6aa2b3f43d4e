"""A run as plain lines, for logs and for terminals that are also used for something else.

A task has a line when it starts and one when it ends. Maps have some in between, ever more rarely,
so that a run never writes many more than three lines a task.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pyflow.progress.counter import Counter, Line
from pyflow.progress.display import ReadLog, closing_sentence, log_tails
from pyflow.progress.outlet import Outlet
from pyflow.runs import Event
from pyflow.terminal import counted, duration_text, one_line

_FIRST_S: Final = 5.0
"""When a map first tells how far it is; then after twice that time, and so on."""
_FEWEST: Final = 20
"""So many lines in between are never too many."""


class PlainLines:
    """Writes a line when a task starts and when it ends."""

    def __init__(
        self, counter: Counter, out: Outlet, read_log: ReadLog | None, now: Callable[[], float] = time.time
    ) -> None:
        self._counter = counter
        self._out = out
        self._read_log = read_log
        self._now = now
        self._begun: set[int] = set()
        self._over: set[int] = set()
        self._next_at: dict[int, float] = {}
        self._between = max(_FEWEST, len(counter.lines))
        self._has_ended = False

    def on_event(self, event: Event) -> None:
        """Count, and write what is news."""
        line = self._counter.add(event)
        if line is not None:
            if event["event"] == "waiting":
                self._tell_wait(line, event["reason"])
            else:
                self._tell(line)
        elif event["event"] == "trouble":
            self._say(event["message"] or "the connection is back")
        elif event["event"] == "run-started":
            self._out.line(f"Run {self._counter.run_id} of {self._counter.pipeline!r}{self._where()}")
        elif event["event"] == "cancel-requested":
            self._say("stopping: nothing more is started")
        elif event["event"] == "run-ended":
            self._end()

    def on_tick(self) -> None:
        """Nothing moves in a log by itself."""

    def close(self) -> None:
        """Say that the run was left, if it was."""
        if not self._has_ended:
            self._end()
        self._out.close()

    def _tell_wait(self, line: Line, reason: str) -> None:
        """Of a map whose items wait for the same, one is told of."""
        if reason and list(line.waits.values()).count(reason) == 1:
            self._say(f"{line.name} waits: {reason}")

    def _tell(self, line: Line) -> None:
        key = id(line)
        if line.is_over:
            if key not in self._over:
                self._over.add(key)
                self._say(_ended_text(line, self._counter.now))
            return
        if key not in self._begun and line.started_at is not None:
            self._begun.add(key)
            self._next_at[key] = self._counter.now + _FIRST_S
            of = f" ({counted(line.total, 'item')})" if line.is_map and line.total is not None else ""
            self._say(f"{line.name} started{of}")
        elif key in self._begun and self._between and self._counter.now >= self._next_at[key]:
            self._between -= 1
            self._next_at[key] = self._counter.now + 2 * (self._counter.now - (line.started_at or 0.0))
            self._say(_between_text(line))

    def _where(self) -> str:
        return f": {one_line(self._counter.where, 300)}" if self._counter.where else ""

    def _end(self) -> None:
        self._has_ended = True
        now = self._now()
        for line in self._counter.lines:
            if id(line) not in self._over and id(line) in self._begun:
                self._say(_ended_text(line, now))
        for headline, tail in log_tails(self._counter, self._read_log):
            self._out.line("")
            self._out.line(headline)
            for text in tail:
                self._out.line(f"  | {text}")
        self._out.line(f"Run {self._counter.run_id} {closing_sentence(self._counter, now)}")

    def _say(self, text: str) -> None:
        self._out.line(f"{self._counter.seconds(self._counter.now):8.1f} s  {one_line(text, 600)}")


def _ended_text(line: Line, now: float) -> str:
    took = line.seconds(now)
    how = f"{line.status} in" if line.status != "running" else "left after"
    text = f"{line.name} {how} {duration_text(took)}" if took is not None else f"{line.name} {line.status}"
    if line.is_map:
        text += f" ({line.counts.get('succeeded', 0):,} of {counted(line.total or 0, 'item')})"
        notes = line.notes()
        text += f": {notes}" if notes else ""
    return text + (f": {line.reason}" if line.reason else "")


def _between_text(line: Line) -> str:
    if not line.is_map:
        return f"{line.name} {line.notes() or 'goes on'}" + (f": {line.reason}" if line.reason else "")
    notes = line.notes()
    of = "" if line.total is None else f" of {line.total:,}"
    return f"{line.name} has done {line.ended:,}{of}" + (f": {notes}" if notes else "")
