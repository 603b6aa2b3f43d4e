"""``pyflow verify``: is all that lies in a store as it was written, and by whom it must be?"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict

import click

from pyflow.api import no_runs_text
from pyflow.cli.common import json_option, made_workplace_of, run_of, store_option
from pyflow.cli.failures import FAILED
from pyflow.cli.output import has_colour, print_json
from pyflow.terminal import clean, coloured, counted, size_text
from pyflow.upkeep import Checked, Flaw, Verifier


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@store_option
@json_option
def verify(run_id: str | None, store: str | None, *, as_json: bool) -> None:
    """List what is wrong in a store. Ends with 1 when something is.

    All of your runs in this project are verified, and all blobs of the project; with RUN that run alone, and
    what it refers to. Every blob is read, whole. Nothing is unpickled, and nothing is changed.

    What a crash leaves behind is listed as harmless: no result is lost by it.
    """
    workplace = made_workplace_of(store)
    verifier = Verifier(workplace.content)
    ids = workplace.content.blobs.folders(workplace.content.keys.runs())
    if run_id is not None and run_id not in ids:  # one whose record is damaged has its id still
        run_id = run_of(run_id, store).id
    flaws = verifier.everything() if run_id is None else verifier.run(run_id)
    if as_json:
        found = list(flaws)
        print_json(
            {
                "ok": all(flaw.is_harmless for flaw in found),
                "store": workplace.home.store_url,
                "checked": asdict(verifier.checked),
                "flaws": [asdict(flaw) for flaw in found],
            }
        )
        wrong = sum(not flaw.is_harmless for flaw in found)
    else:
        wrong = _tell(flaws, verifier.checked)
        if not ids:
            click.echo(clean(no_runs_text(workplace)), err=True)
    if wrong:
        sys.exit(FAILED)


def _tell(flaws: Iterable[Flaw], checked: Checked) -> int:
    """Print flaws as they are found, then what was looked at; how many are not harmless."""
    wrong = harmless = 0
    for flaw in flaws:
        wrong, harmless = wrong + (not flaw.is_harmless), harmless + flaw.is_harmless
        symbol = (
            coloured("·", "bright_black", is_on=has_colour())
            if flaw.is_harmless
            else coloured("✗", "red", is_on=has_colour())
        )
        click.echo(f"{symbol} {clean(_text(flaw))}")
    looked = (
        f"{counted(checked.runs, 'run')}, {counted(checked.commits, 'commit')}, {counted(checked.events, 'event')}, "
        f"{counted(checked.blobs, 'blob')} ({size_text(checked.size_bytes)})"
    )
    aside = f", and {harmless} left by crashes, which are harmless" if harmless else ""
    click.echo(f"{looked} verified: {counted(wrong, 'flaw') if wrong else 'nothing is wrong'}{aside}.", err=bool(wrong))
    return wrong


def _text(flaw: Flaw) -> str:
    whose = f" of {flaw.node!r}" if flaw.node else ""
    run = f" in run {flaw.run_id}" if flaw.run_id else ""
    return f"{flaw.kind}{whose}{run}: {flaw.key}: {flaw.problem}"
