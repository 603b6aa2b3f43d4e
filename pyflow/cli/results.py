"""``pyflow result``, ``logs`` and ``cancel``: what one run gave, printed, and whether it goes on."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from pyflow.api import Run
from pyflow.cli.common import json_option, run_argument, run_of, store_option
from pyflow.cli.failures import FAILED, Wrong, exit_code_of_run, tell_of_run
from pyflow.cli.output import iso, print_json
from pyflow.cli.readable import readable, to_json, write_to
from pyflow.contract import parse_slot
from pyflow.errors import NotFoundError
from pyflow.runs import ENDED, RunView
from pyflow.terminal import clean

_CANCEL_S: Final = 30.0
"""So long the command waits to tell that the run has ended; its tasks may clean up, and its exit handler runs."""


@click.command()
@run_argument
@click.argument("node", required=False)
@store_option
@json_option
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="PATH", help="Write the value to a file.")
def result(run_id: str, node: str | None, store: str | None, *, as_json: bool, target: Path | None) -> None:
    """Print what a run returned, or the result of one of its tasks.

    NODE is a name as 'pyflow show' lists it; 'fit' is the list of a map's results, 'fit[3]' one of them.

    With --to a file or folder is copied, text and bytes are written; arrays become .npy or .csv,
    frames .csv, .json or .parquet; names that end in .json or .pkl take any value.

    The value is unpickled: that runs code of whoever made it. 'pyflow show' never does.
    """
    run = run_of(run_id, store)
    if run.status not in ENDED:
        click.echo(f"Run {run.id} is {run.status}; waiting for its end.", err=True)
    _use_code_of(run)
    try:
        raised = _raised_in(run, node)
        value = None if raised is not None else run.result(node)
    except NotFoundError as error:
        raise Wrong(str(error)) from error
    if raised is not None:
        tell_of_run(raised)
        sys.exit(exit_code_of_run(raised))
    if target is not None:
        write_to(value, target)
    elif as_json:
        click.echo(to_json(value))
    else:
        click.echo(readable(value))


def _raised_in(run: Run, node: str | None) -> BaseException | None:
    """What stands against a result of the run, or of one of its tasks: told as the task's, which it is."""
    if node is not None:
        return run.failure_of(node)
    return None if run.wait() == "succeeded" else run.failure()


@click.command()
@run_argument
@click.argument("node", required=False)
@store_option
@click.option("--follow", "-f", "is_follow", is_flag=True, help="Go on printing until the run has ended.")
@json_option
def logs(run_id: str, node: str | None, store: str | None, *, is_follow: bool, as_json: bool) -> None:
    """Print what the tasks of a run printed, or one of them.

    NODE is a name as 'pyflow show' lists it: 'fit' for all items of a map, 'fit[3]' for one.
    """
    if is_follow and as_json:
        raise Wrong("--json prints what there is, and --follow what comes: give one of them.")
    run = run_of(run_id, store)
    view = run.view()
    try:
        if node is not None:
            run.slots_of(view, node)
            if view.status in ENDED:
                run.check_item(view, node)
        if as_json:
            print_json(_logs_wire(run, view, node))
            return
        if is_follow:
            for line in run.logs(node, follow=True):
                click.echo(clean(line))
            return
        text = "".join(log.text for log in run.attempt_logs(view, node))
    except NotFoundError as error:
        raise Wrong(str(error)) from error
    if text:
        click.echo(clean(text), nl=not text.endswith("\n"))
    else:
        click.echo(
            f"{'Nothing' if node is None else f'Node {node!r} has'} printed {'' if node is None else 'nothing '}yet."
            if run.status not in ENDED
            else "Nothing was printed.",
            err=True,
        )


def _logs_wire(run: Run, view: RunView, node: str | None) -> list[dict[str, Any]]:
    """What each attempt printed, as JSON."""
    wire = []
    for attempt, text in run.attempt_logs(view, node):
        number, indices = parse_slot(attempt.slot)
        found = view.nodes[number]
        if text or not found.is_helper:
            told = {
                "name": view.name_of(attempt.slot),
                "node": found.name,
                "indices": indices,
                "attempt": attempt.number,
            }
            wire.append({**told, "status": attempt.status, "started_at": iso(attempt.started_at), "text": text})
    return wire


@click.command()
@run_argument
@store_option
def cancel(run_id: str, store: str | None) -> None:
    """Ask a run to end. What has finished is kept."""
    run = run_of(run_id, store)
    status = run.status
    if status in ENDED:
        click.echo(f"Run {run.id} has ended already: {status}.")
        return
    run.cancel()
    status = run.wait(_CANCEL_S)
    if status in ENDED:
        click.echo(f"Run {run.id} has ended: {status}.")
        return
    click.echo(
        f"Run {run.id} was asked to end, and is still {status}. '{run.command('show')}' tells when it has.", err=True
    )
    sys.exit(FAILED)


def _use_code_of(run: Run) -> None:
    """Let the classes of a run's own code be found, for values that are made of them."""
    folder = Path(tempfile.mkdtemp(prefix="pyflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    code = run.unpack_code(folder)
    if code is not None:
        sys.path.insert(0, str(code))
