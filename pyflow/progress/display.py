"""What all displays share: when to draw, and what is said at the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias

from pyflow.progress.counter import Counter, FailedTask
from pyflow.runs import ENDED, Event
from pyflow.terminal import clean, counted, duration_text, one_line

ReadLog: TypeAlias = "Callable[[str, int, int], bytes]"
"""Gives a piece of a log: its writer, where it starts, where it ends."""

TAIL_LINES: Final = 20
_TAILS: Final = 3
_TAIL_BYTES: Final = 64 * 1024


class Display(Protocol):
    """Shows a run to a person, as its events come."""

    def on_event(self, event: Event) -> None:
        """Something was noted in the journal."""

    def on_tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """The run is over, or was left; whatever was borrowed is given back."""


class Pace:
    """Says when it is time to draw again."""

    __slots__ = ("_interval_s", "_next", "_now")

    def __init__(self, interval_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._now = now
        self._next = now() + interval_s

    def is_due(self) -> bool:
        """Whether so much time has passed since this last said yes."""
        now = self._now()
        if now < self._next:
            return False
        self._next = now + self._interval_s
        return True


def closing_sentence(counter: Counter, now: float) -> str:
    """How the run ended, in one sentence."""
    took = duration_text(counter.seconds(now))
    kept, total = counter.count("succeeded"), counter.total
    if counter.status == "succeeded":
        skipped = counter.count("skipped")
        return f"succeeded in {took}: {counted(kept, 'task')}" + (f", {skipped} skipped" if skipped else "")
    how = counter.status if counter.status in ENDED else "left"
    return f"{how} after {took}: {kept:,} of {counted(total, 'result')} {'is' if total == 1 else 'are'} kept"


def log_command(counter: Counter, name: str) -> str:
    """What to type to see a task's log."""
    return f"{counter.log_command()} {shlex.quote(name)}"


def log_tails(counter: Counter, read_log: ReadLog | None) -> Iterator[tuple[str, list[str]]]:
    """For the first tasks that failed: a headline, and the last lines of what each printed."""
    for failed in counter.failures[:_TAILS]:
        lines = [] if read_log is None else _last_lines(failed, read_log)
        if lines:
            shown = lines[-TAIL_LINES:]
            much = f"last {len(shown)} lines of the" if len(lines) > len(shown) else ""
            yield (
                f"{much.capitalize() or 'The'} log of {one_line(failed.name)} ({log_command(counter, failed.name)}):",
                shown,
            )


def _last_lines(failed: FailedTask, read_log: ReadLog) -> list[str]:
    if failed.log is None:
        return []
    writer, start, end = failed.log
    data = read_log(writer, max(start, end - _TAIL_BYTES), end)
    return clean(data.decode(errors="replace")).rstrip("\n").split("\n") if data.strip() else []
