"""A run as a table in a notebook, brought up to date in place.

The table is whole in itself: no script, and no style but its own, so that it looks the same in a
notebook that was saved, printed or sent to somebody.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pyflow.progress.counter import Counter, Line
from pyflow.progress.display import Pace, ReadLog, closing_sentence, log_tails
from pyflow.progress.live import plain
from pyflow.progress.symbols import SYMBOL
from pyflow.runs import Event, Status
from pyflow.terminal import clean, counted, duration_text, one_line

Show: TypeAlias = "Callable[[dict[str, str], bool], None]"
"""Shows a bundle of MIME types; the second argument says whether it takes the place of the one before."""

# Every update is kept by some front ends, so they are rarer than in a terminal.
_INTERVAL_S: Final = 0.25
_MOST_ROWS: Final = 60
_INK: Final[dict[Status, str]] = {
    "succeeded": "#1a7f37", "failed": "#cf222e", "lost": "#cf222e", "running": "#0969da", "cancelled": "#9a6700",
    "skipped": "#6e7781", "pending": "#6e7781",
}  # fmt: skip


class NotebookTable:
    """Shows a table below the cell that started the run."""

    def __init__(
        self,
        counter: Counter,
        read_log: ReadLog | None,
        show: Show | None = None,
        now: Callable[[], float] = time.time,
        pace: Pace | None = None,
    ) -> None:
        self._counter = counter
        self._read_log = read_log
        self._show = show or _show_in_ipython(counter.run_id)
        self._now = now
        self._pace = pace or Pace(_INTERVAL_S)
        self._is_shown = False
        self._has_ended = False

    def on_event(self, event: Event) -> None:
        """Count, and draw when it is time."""
        self._counter.add(event)
        if event["event"] == "run-ended":
            self._end()
        elif event["event"] == "run-started" or self._pace.is_due():
            self._draw()

    def on_tick(self) -> None:
        """Draw when it is time."""
        if self._pace.is_due() and not self._has_ended:
            self._draw()

    def close(self) -> None:
        """Leave the last table."""
        if not self._has_ended:
            self._end()

    def _end(self) -> None:
        self._has_ended = True
        self._draw()

    def _draw(self) -> None:
        now = self._now()
        tails = list(log_tails(self._counter, self._read_log)) if self._has_ended else []
        text = plain(self._counter, now, width=100, height=_MOST_ROWS)
        for headline, lines in tails:
            text += ["", headline, *(f"  {line}" for line in lines)]
        bundle = {"text/html": to_html(self._counter, now, tails), "text/plain": "\n".join(text)}
        self._show(bundle, self._is_shown)
        self._is_shown = True


def to_html(counter: Counter, now: float, tails: list[tuple[str, list[str]]]) -> str:
    """The table as HTML; whatever is other people's text is escaped."""
    lines = counter.lines[:_MOST_ROWS]
    rows = "".join(_row(line, now) for line in lines)
    if len(counter.lines) > len(lines):
        rows += f'<tr><td></td><td colspan="4">… and {len(counter.lines) - len(lines)} more</td></tr>'
    cell = "padding:2px 10px 2px 0;text-align:left;border:none;background:none;vertical-align:middle"
    head = "".join(
        f'<th style="{cell};font-weight:600;opacity:.7">{word}</th>' for word in ("", "task", "time", "", "")
    )
    body = f'<table style="border-collapse:collapse;border:none;margin:4px 0;font-size:inherit"><tr>{head}</tr>{rows}</table>'
    logs = "".join(
        f'<div style="margin-top:6px">{_escaped(headline)}</div><pre style="margin:2px 0 0 12px;padding:4px 8px;'
        f'border-left:3px solid {_INK["failed"]};white-space:pre-wrap">{_escaped(chr(10).join(text))}</pre>'
        for headline, text in tails
    )
    title = f"<b>{_escaped(counter.pipeline)}</b> <code>{_escaped(counter.run_id)}</code>"
    where = f'<div style="opacity:.7">{_escaped(counter.where)}</div>' if counter.where else ""
    return f'<div style="font-size:90%">{title}{where}{body}<div>{_state(counter, now)}</div>{logs}</div>'


def _row(line: Line, now: float) -> str:
    status, seconds = line.status, line.seconds(now)
    cell = "padding:2px 10px 2px 0;text-align:left;border:none;background:none;vertical-align:middle"
    notes = line.notes() if line.is_map else ("retrying" if line.retrying else "")
    notes = ": ".join(part for part in (notes, one_line(line.reason or line.waits_for, 120)) if part)
    cells = (
        f'<span style="color:{_INK[status]}" title="{status}">{SYMBOL[status]}</span>',
        _escaped(one_line(line.name, 60)),
        "" if seconds is None else duration_text(seconds),
        _bar(line, status),
        _escaped(notes or (status if status not in {"succeeded", "running", "pending"} else "")),
    )
    return "<tr>" + "".join(f'<td style="{cell}">{text}</td>' for text in cells) + "</tr>"


def _bar(line: Line, status: Status) -> str:
    if not line.is_map or line.total is None:
        return ""
    percent = 100 if not line.total else line.ended * 100 // line.total
    return (
        '<span style="display:inline-block;width:120px;height:8px;border-radius:4px;background:rgba(128,128,128,.25);'
        f'vertical-align:middle;margin-right:8px"><span style="display:block;width:{percent}%;height:8px;border-radius:4px;'
        f'background:{_INK[status]}"></span></span>{line.ended:,} of {line.total:,}'
    )


def _state(counter: Counter, now: float) -> str:
    if counter.status != "running":
        return _escaped(closing_sentence(counter, now))
    done = sum(line.ended for line in counter.lines)
    state = "stopping" if counter.is_stopping else "running"
    return f"{state} for {duration_text(counter.seconds(now))}, {done:,} of {counted(counter.total, 'task')} done"


def _escaped(text: str) -> str:
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def _show_in_ipython(display_id: str) -> Show:
    """Shows through the IPython that is loaded already: this is one of its kernels."""
    display: Any = sys.modules["IPython"].display

    def show(bundle: dict[str, str], is_update: bool) -> None:  # noqa: FBT001
        display.display(bundle, raw=True, display_id=display_id, update=is_update)

    return show
