"""A run as a table in a terminal, drawn over itself until the run ends; the last drawing stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from pyflow.progress.counter import Counter, Line
from pyflow.progress.display import Pace, ReadLog, closing_sentence, log_tails
from pyflow.progress.outlet import Outlet
from pyflow.progress.symbols import COLOUR, SYMBOL
from pyflow.runs import Event, Status
from pyflow.terminal import clean, coloured, columns, counted, cut, duration_text, one_line, padded

_INTERVAL_S: Final = 0.125
_BAR: Final = 16
_NAME: Final = 36
_MOST_ROWS: Final = 30
_RANK: Final[dict[Status, int]] = {
    "failed": 0, "lost": 0, "running": 1, "cancelled": 3, "pending": 2, "succeeded": 4, "skipped": 5,
}  # fmt: skip


class LiveTable:
    """Draws a table of the tasks over itself."""

    def __init__(
        self,
        counter: Counter,
        out: Outlet,
        read_log: ReadLog | None,
        now: Callable[[], float] = time.time,
        pace: Pace | None = None,
    ) -> None:
        self._counter = counter
        self._out = out
        self._read_log = read_log
        self._now = now
        self._pace = pace or Pace(_INTERVAL_S)
        self._drawn = 0
        self._has_ended = False

    def on_event(self, event: Event) -> None:
        """Count, and draw when it is time."""
        self._counter.add(event)
        if event["event"] == "run-ended":
            self._end()
        elif self._pace.is_due():
            self._draw()

    def on_tick(self) -> None:
        """Draw when it is time."""
        if self._pace.is_due() and not self._has_ended:
            self._draw()

    def close(self) -> None:
        """Leave the last drawing on the terminal."""
        if not self._has_ended:
            self._end()
        self._out.close()

    def _draw(self) -> None:
        width, height = self._out.size
        rows = table(
            self._counter, self._now(), width=width, height=min(height - 1, _MOST_ROWS), has_colour=self._out.has_colour
        )
        over = f"\x1b[{self._drawn}F" if self._drawn else ""
        # Each line is cleared behind its end, and what is left of a longer drawing below the last one.
        self._out.write(over + "".join(f"{row}\x1b[K\n" for row in rows) + "\x1b[J")
        self._drawn = len(rows)

    def _end(self) -> None:
        self._has_ended = True
        self._draw()
        for headline, tail in log_tails(self._counter, self._read_log):
            self._out.write(f"\n{coloured(headline, 'bold', is_on=self._out.has_colour)}\n")
            for text in tail:
                self._out.line(f"  {text}")


def table(counter: Counter, now: float, *, width: int, height: int, has_colour: bool = False) -> list[str]:
    """The lines of a drawing, none of them wider than the terminal, and not more than it has.

    Args:
        counter: How far the run is.
        now: The time, in seconds since 1970.
        width: Columns of the terminal.
        height: How many lines there may be.
        has_colour: Whether to use colours.
    """
    shown, hidden = _chosen(counter.lines, height - 3)
    name_width = min(max((columns(clean(line.name)) for line in shown), default=0), _NAME, max(width - 20, 8))
    rows = [cut(f"{clean(counter.pipeline)}  {counter.run_id}", width - 1)]
    rows += [_row(line, now, name_width, width - 1, has_colour=has_colour) for line in shown]
    if hidden:
        rows.append(coloured(cut(f"  {_summary(hidden)}", width - 1), "bright_black", is_on=has_colour))
    rows.append(cut(_last_row(counter, now), width - 1))
    return rows


def _row(line: Line, now: float, name_width: int, width: int, *, has_colour: bool) -> str:
    status, seconds = line.status, line.seconds(now)
    name = padded(cut(one_line(line.name), name_width), name_width)
    took = "" if seconds is None else duration_text(seconds)
    text = f" {name}  {took:>12}"
    if line.is_map and line.total is not None and line.started_at is not None:
        text += f"  {_bar(line.ended, line.total)}  {line.ended:,} of {line.total:,}"
    notes = line.notes() if line.is_map else ("retrying" if line.retrying else "")
    if not notes and status in {"cancelled", "skipped", "lost"}:
        notes = status
    if line.reason:
        notes = f"{notes}: {line.reason}" if notes else line.reason
    if notes:
        text += f"  {one_line(notes)}"
    body = cut(text, width - 3).rstrip()
    symbol = coloured(SYMBOL[status], COLOUR[status], is_on=has_colour)
    return f"  {symbol}{coloured(body, 'bright_black', is_on=has_colour and status in {'pending', 'skipped'})}"


def _bar(done: int, total: int) -> str:
    full = _BAR if not total else done * _BAR // total
    return "━" * full + "╌" * (_BAR - full)


def _last_row(counter: Counter, now: float) -> str:
    if counter.status != "running":
        return f"  {closing_sentence(counter, now)}"
    done = sum(line.ended for line in counter.lines)
    state = "stopping" if counter.is_stopping else "running"
    return f"  {state} for {duration_text(counter.seconds(now))}, {done:,} of {counted(counter.total, 'task')} done"


def _chosen(lines: Sequence[Line], room: int) -> tuple[list[Line], list[Line]]:
    """The lines that there is room for, the most interesting ones, in their own order; and the others."""
    if len(lines) <= max(room, 1):
        return list(lines), []
    ranked = sorted(range(len(lines)), key=lambda i: (_RANK[lines[i].status], i if _RANK[lines[i].status] < 4 else -i))
    kept = set(ranked[: max(room, 1)])
    return [lines[i] for i in sorted(kept)], [line for i, line in enumerate(lines) if i not in kept]


def _summary(hidden: Sequence[Line]) -> str:
    counts: dict[Status, int] = {}
    for line in hidden:
        counts[line.status] = counts.get(line.status, 0) + 1
    return f"… and {len(hidden)} more: " + ", ".join(f"{count} {status}" for status, count in counts.items())
