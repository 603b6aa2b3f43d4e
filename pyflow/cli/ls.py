"""``pyflow ls``: the runs in a store."""

from __future__ import annotations

import time
from typing import Any

import click

from pyflow.api import Run, list_runs, no_runs_text
from pyflow.cli.common import json_option, short_id, store_option, workplace_of
from pyflow.cli.output import clock, has_colour, iso, print_json, table
from pyflow.progress import COLOUR
from pyflow.terminal import clean, coloured, duration_text, one_line

_NAME = 24


@click.command()
@store_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs to list.")
@click.option("--all", "is_all", is_flag=True, help="List all of them.")
@json_option
def ls(store: str | None, limit: int, *, is_all: bool, as_json: bool) -> None:
    """List runs, the newest first.

    A run may be named by its id, by a beginning or an end of it that no other has, or as 'latest'.
    """
    runs = list_runs(store, limit=None if is_all else limit + 1)
    is_cut = not is_all and len(runs) > limit
    runs = runs if is_all else runs[:limit]
    if as_json:
        print_json([to_wire(run) for run in runs])
        return
    if not runs:
        click.echo(f"{clean(no_runs_text(workplace_of(store)))} 'pyflow run FILE' starts one.", err=True)
        return
    lines = table(("RUN", "PIPELINE", "STATUS", "STARTED", "TOOK", "EXECUTOR"), [_row(run) for run in runs])
    click.echo("\n".join(_painted(line, run) for line, run in zip(lines, [None, *runs], strict=True)))
    if is_cut:
        click.echo(f"Only the latest {limit} are listed; --limit or --all lists more.", err=True)


def to_wire(run: Run) -> dict[str, Any]:
    """A run as one object of JSON."""
    record, summary = run.record, run.summary
    return {
        "id": run.id,
        "pipeline": record.pipeline,
        "arguments": record.arguments,
        "status": run.status,
        "started_at": iso(record.started_at),
        "duration_s": None if summary is None else summary.duration_s,
        "executor": record.executor,
        "host": record.host,
        "pid": record.pid,
        "python": record.python,
        "pyflow": record.pyflow_version,
    }


def _row(run: Run) -> tuple[str, ...]:
    record, summary, status = run.record, run.summary, run.status
    if summary is not None:
        took = duration_text(summary.duration_s)
    else:
        took = duration_text(time.time() - record.started_at) if status == "running" else ""
    return (
        short_id(run.id),
        one_line(record.pipeline, _NAME),
        status,
        clock(record.started_at),
        took,
        one_line(record.executor, _NAME),
    )


def _painted(line: str, run: Run | None) -> str:
    if run is None:
        return coloured(line, "bold", is_on=has_colour())
    status = run.status
    before, word, after = line.partition(f"  {status}")
    return before + coloured(word, COLOUR[status], is_on=has_colour()) + after
