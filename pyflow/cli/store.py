"""``pyflow store``: what a store can do, and runs on their way from one to another."""

from __future__ import annotations

import dataclasses
import sys

import click

from pyflow.api import Workplace, find_run, no_runs_text, open_workplace
from pyflow.cli.common import json_option, made_workplace_of
from pyflow.cli.failures import FAILED, Wrong
from pyflow.cli.output import has_colour, print_json
from pyflow.config import Settings
from pyflow.errors import NotFoundError
from pyflow.terminal import clean, coloured, size_text
from pyflow.upkeep import Copied, Finding, check_store, copy_run, run_ids, why_not


@click.group()
def store() -> None:
    """Look what a store can do, and copy runs between stores."""


@store.command()
@click.argument("url", metavar="URL", required=False)
@json_option
def check(url: str | None, *, as_json: bool) -> None:
    """Find out by trying what a store can do, and what follows for your runs.

    URL is a folder, file://… or s3://BUCKET/PREFIX; without it the store that the settings name.
    Ends with 1 when the store cannot keep a promise, and with 3 when it cannot be used at all.
    """
    workplace = open_workplace(Settings(store=url))
    findings = []
    if not as_json:
        click.echo(f"The store {workplace.content.blobs.url}:")
    for finding in check_store(workplace.content.blobs):
        findings.append(finding)
        if not as_json:
            _tell(finding)
    is_ok = all(finding.is_ok or not finding.is_needed for finding in findings)
    if as_json:
        checks = [{"name": f.name, "ok": f.is_ok, "needed": f.is_needed, "detail": f.detail} for f in findings]
        print_json({"url": workplace.content.blobs.url, "ok": is_ok, "checks": checks})
    else:
        click.echo("It can do all that pyflow needs." if is_ok else "It cannot do all that pyflow needs.")
    if not is_ok:
        sys.exit(FAILED)


@store.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@json_option
def copy(source: str, target: str, runs: tuple[str, ...], *, as_json: bool) -> None:
    """Copy runs, with all they refer to, from one store to another; without RUN all of yours that have ended.

    What is read is verified. What is there already is not copied again, so a copy that was broken off is
    finished by the same command. Nothing is removed from FROM.
    """
    here, there = made_workplace_of(source), open_workplace(Settings(store=target))
    if here.content.blobs.url == there.content.blobs.url:
        raise Wrong(f"FROM and TO are the same store, {here.content.blobs.url}.")
    wanted = [_ended(text, here) for text in runs] if runs else _all_ended(here)
    copied = []
    for run_id in wanted:
        one = copy_run(here.content, there.content, run_id)
        copied.append(one)
        if not as_json:
            _tell_copied(one)
    if as_json:
        print_json([dataclasses.asdict(one) for one in copied])
    elif not run_ids(here.content):
        click.echo(f"There is nothing to copy. {clean(no_runs_text(here))}", err=True)
    elif not copied:
        click.echo(f"There is nothing to copy: no run in {here.content.blobs.url} has ended.", err=True)


def _tell(finding: Finding) -> None:
    symbol, colour = ("✓", "green") if finding.is_ok else ("✗", "red") if finding.is_needed else ("!", "yellow")
    click.echo(f"{coloured(symbol, colour, is_on=has_colour())} {finding.name:<17} {clean(finding.detail)}")


def _tell_copied(one: Copied) -> None:
    blobs = "blob" if one.blobs == 1 else "blobs"
    rest = f", {one.present} were there" if one.present else ""
    click.echo(f"{one.run_id}: {one.commits} results, {one.blobs} {blobs} ({size_text(one.size_bytes)}){rest}")


def _ended(text: str, workplace: Workplace) -> str:
    try:
        run = find_run(text, workplace)
    except NotFoundError as error:
        raise Wrong(str(error)) from error
    why = why_not(workplace.content, run.record)
    if why:
        raise Wrong(f"Run {run.id} cannot be copied yet: {why}. Copy it when it has ended.")
    return run.id


def _all_ended(workplace: Workplace) -> list[str]:
    found = []
    for run_id in run_ids(workplace.content):
        try:
            found.append(_ended(run_id, workplace))
        except Wrong as error:
            click.echo(f"Left out: {error.message}", err=True)
    return found
