"""Text for a terminal, a pipe or a program: tables, colours and JSON."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

from pyflow.terminal import columns, cut, padded


def is_terminal() -> bool:
    """Whether a person reads standard output as it comes."""
    return sys.stdout.isatty()


def has_colour() -> bool:
    """Whether standard output may be coloured (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal; None where there is none, and lines may be as long as they are."""
    return shutil.get_terminal_size((80, 24)).columns if is_terminal() else None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows under their headings, each column as wide as it needs to be; the last one is cut off."""
    widths = [max(columns(row[i]) for row in (head, *rows)) for i in range(len(head))]
    limit = width()
    lines = []
    for row in (head, *rows):
        line = "  ".join(padded(text, widths[i]) for i, text in enumerate(row)).rstrip()
        lines.append(line if limit is None else cut(line, limit))
    return lines


def print_json(value: Any) -> None:
    """Print a value as JSON, for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def iso(seconds: float | None) -> str | None:
    """A time as ISO 8601, in UTC."""
    return (
        None
        if seconds is None
        else dt.datetime.fromtimestamp(seconds, dt.timezone.utc).isoformat(timespec="milliseconds")
    )


def clock(seconds: float) -> str:
    """A time as the reader's clock shows it: ``23 Nov 17:30``."""
    then = dt.datetime.fromtimestamp(seconds).astimezone()
    now = dt.datetime.now().astimezone()
    if then.date() == now.date():
        return f"{then:%H:%M:%S}"
    return f"{then:%d %b %H:%M}" if then.year == now.year else f"{then:%d %b %Y}"
