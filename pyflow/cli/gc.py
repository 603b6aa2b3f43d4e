"""``pyflow gc``: removes what no kept run refers to, and runs that need not be kept."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from datetime import timedelta

import click

from pyflow.api import Workplace, find_run, no_runs_text
from pyflow.cli.common import age, json_option, made_workplace_of, store_option
from pyflow.cli.failures import BROKEN, Wrong
from pyflow.cli.output import print_json
from pyflow.errors import NotFoundError
from pyflow.terminal import clean, size_text
from pyflow.upkeep import Collected, Collector, Retention


@click.command()
@store_option
@click.option("--yes", "is_meant", is_flag=True, help="Remove it. Without this, it is only said what would be removed.")
@click.option("--older-than", callback=age, metavar="AGE", help="Let runs go that started longer ago: 30d, 12h, 4w.")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep the last N runs of each pipeline.")
@click.option("--remove", "removed", multiple=True, metavar="RUN", help="Let this run go. May be given several times.")
@click.option("--grace", callback=age, default="7d", show_default=True, metavar="AGE", help="Leave what is younger.")
@click.option("--no-grace", is_flag=True, help="Leave nothing for its age. Only while nobody writes to the store.")
@json_option
def gc(
    store: str | None,
    older_than: timedelta | None,
    keep_last: int | None,
    removed: tuple[str, ...],
    grace: timedelta,
    *,
    is_meant: bool,
    no_grace: bool,
    as_json: bool,
) -> None:
    """Say what no run of the project refers to, and with --yes remove it.

    \b
    Runs stay unless --older-than, --keep-last or --remove let them go; with both
    --older-than and --keep-last a run goes only if both let it. A run that may
    still go on always stays, and so does what another run took as its argument.
    """  # noqa: D301  click reads the \b
    workplace = made_workplace_of(store)
    retention = Retention(
        older_than=older_than, keep_last=keep_last, run_ids=tuple(_id_of(text, workplace) for text in removed)
    )
    collector = Collector(workplace.content, grace=None if no_grace else grace)
    collected = collector.collect(retention) if is_meant else collector.look(retention)
    if is_meant:
        for run_id in collected.runs:
            # Files that results of the run consisted of, made for whoever asked for them.
            shutil.rmtree(workplace.results / run_id, ignore_errors=True)
    if as_json:
        print_json({"removed": is_meant, **dataclasses.asdict(collected)})
    else:
        _tell(collected, is_meant=is_meant)
        if not collected.run_count and not collected.runs:
            click.echo(clean(no_runs_text(workplace)), err=True)
    if collected.failed:
        sys.exit(BROKEN)


def _id_of(text: str, workplace: Workplace) -> str:
    try:
        return find_run(text, workplace).id
    except NotFoundError as error:
        raise Wrong(str(error)) from error


def _tell(collected: Collected, *, is_meant: bool) -> None:
    for run_id in collected.runs:
        click.echo(f"{'removed' if is_meant else 'would remove'} run {run_id}")
    for kept in collected.kept:
        click.echo(f"kept run {kept.run_id}: {clean(kept.why)}")
    what = [f"{_many(collected.blobs, 'blob')} ({size_text(collected.size_bytes)})"]
    if collected.runs:
        what.insert(0, _many(len(collected.runs), "run"))
    if collected.unfinished:
        what.append(f"{collected.unfinished} unfinished writes")
    stays = f"{_many(collected.run_count, 'run')} kept"
    young = f", {_many(collected.young, 'blob')} left for being young" if collected.young else ""
    click.echo(f"{'Removed' if is_meant else 'Would remove'}: {', '.join(what)}. {stays}{young}.")
    for words in collected.failed:
        click.echo(f"Not removed: {clean(words)}", err=True)
    if not is_meant and (collected.runs or collected.blobs or collected.unfinished):
        click.echo("Nothing was removed; --yes does it.", err=True)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
