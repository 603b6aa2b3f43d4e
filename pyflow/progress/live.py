"""A run as a table in a terminal, drawn over itself until the run ends; the last drawing stays.

``rich`` draws: it measures, cuts, moves the cursor and knows the size of the terminal. What is shown is
for this module to say. All text goes to it as ``Text``, never as markup, so ``[bold]`` in a name stays text.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from pyflow.late import late
from pyflow.progress.counter import Counter, Line
from pyflow.progress.display import Pace, ReadLog, closing_sentence, log_tails
from pyflow.progress.outlet import Outlet
from pyflow.progress.symbols import COLOUR, SYMBOL
from pyflow.runs import Event, Status
from pyflow.terminal import counted, duration_text, one_line

if TYPE_CHECKING:
    from rich import console, live, progress_bar, table, text
else:
    console = late("rich.console")
    live = late("rich.live")
    progress_bar = late("rich.progress_bar")
    table = late("rich.table")
    text = late("rich.text")

_INTERVAL_S: Final = 0.125
_BAR: Final = 16
_ROOM_FOR_BARS: Final = 60
"""In a terminal of fewer columns the numbers of a map are worth more than its bar."""
_NAME: Final = 36
_MOST_ROWS: Final = 30
_DIM: Final = "bright_black"
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
        self._live: live.Live | None = None
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
        self._begun().refresh()

    def _begun(self) -> live.Live:
        """The drawing, begun when it is first needed: until then nothing of ``rich`` is loaded."""
        if self._live is None:
            # What others print stays theirs: rich would send all of it to standard error.
            self._live = live.Live(
                get_renderable=self._drawing, console=self._out.console(),
                auto_refresh=False, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
            # Rich hides the cursor. It stays, so that nothing need be mended after whatever may end this process.
            self._out.console().show_cursor()
        return self._live

    def _drawing(self) -> console.Group:
        size = self._out.console().size
        return drawing(self._counter, self._now(), width=size.width, height=min(size.height - 1, _MOST_ROWS))

    def _end(self) -> None:
        self._has_ended = True
        # Draws once more, and goes to the line below.
        self._begun().stop()
        for headline, tail in log_tails(self._counter, self._read_log):
            self._out.line("")
            self._out.console().print(text.Text(headline, "bold"), soft_wrap=True)
            for line in tail:
                self._out.line(f"  {line}")


def drawing(counter: Counter, now: float, *, width: int, height: int) -> console.Group:
    """The run as it is now, a line of the terminal for each task.

    Args:
        counter: How far the run is.
        now: The time, in seconds since 1970.
        width: Columns of the terminal.
        height: How many lines there may be.
    """
    head = [_text(f"{one_line(counter.pipeline)}  {counter.run_id}")]
    head += [_text(f"  {one_line(counter.where, 300)}", _DIM)] if counter.where else []
    shown, hidden = _chosen(counter.lines, height - 2 - len(head))
    rows = table.Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, max_width=min(max(width // 3, 8), _NAME) + 4)
    rows.add_column(no_wrap=True, min_width=8, justify="right")
    # The only column that gives way when there is no room.
    rows.add_column()
    for line in shown:
        is_dim = line.status in {"pending", "skipped"}
        rows.add_row(*_cells(line, now, has_bar=width >= _ROOM_FOR_BARS), style=_DIM if is_dim else None)
    return console.Group(
        *head,
        rows,
        *([_text(f"  {_summary(hidden)}", _DIM)] if hidden else []),
        _text(_last_row(counter, now)),
    )


def plain(counter: Counter, now: float, *, width: int, height: int) -> list[str]:
    """The same as lines of text, without colours."""
    paper = console.Console(file=io.StringIO(), width=width, height=height, color_system=None, force_jupyter=False)
    with paper.capture() as printed:
        paper.print(drawing(counter, now, width=width, height=height))
    return [line.rstrip() for line in printed.get().splitlines()]


def _cells(line: Line, now: float, *, has_bar: bool) -> tuple[console.RenderableType, ...]:
    """State and name, time, and what else there is to say."""
    status, seconds = line.status, line.seconds(now)
    name = _text(f"  {SYMBOL[status]} {one_line(line.name)}")
    name.stylize(COLOUR[status], 0, 3)
    took = _text("" if seconds is None else duration_text(seconds))
    notes = one_line(_notes(line))
    if not line.is_map or line.total is None or line.started_at is None:
        return name, took, _text(notes)
    done = _text("  ".join(part for part in (f"{line.ended:,} of {line.total:,}", notes) if part))
    if not has_bar or (line.is_over and notes):
        # What went wrong is worth more than a bar that is full.
        return name, took, done
    both = table.Table.grid(padding=(0, 2))
    both.add_column(no_wrap=True)
    both.add_row(_bar(line.ended, line.total, COLOUR[status]), done)
    return name, took, both


def _notes(line: Line) -> str:
    notes = line.notes() if line.is_map else ("retrying" if line.retrying else "")
    if not notes and line.status in {"cancelled", "skipped", "lost"}:
        notes = line.status
    if not line.is_map and line.waits:
        notes = "waiting"
    return ": ".join(part for part in (notes, line.reason or line.waits_for) if part)


def _bar(done: int, total: int, colour: str) -> progress_bar.ProgressBar:
    return progress_bar.ProgressBar(total, done, width=_BAR, style=_DIM, complete_style=colour, finished_style=colour)


def _text(line: str, style: str = "") -> text.Text:
    """One line, its end left out where there is no room for it."""
    return text.Text(line, style, no_wrap=True, overflow="ellipsis")


def _last_row(counter: Counter, now: float) -> str:
    if counter.status != "running":
        return f"  {closing_sentence(counter, now)}"
    done = sum(line.ended for line in counter.lines)
    state = "stopping" if counter.is_stopping else "running"
    if counter.trouble:
        return f"  {one_line(counter.trouble)}"
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
