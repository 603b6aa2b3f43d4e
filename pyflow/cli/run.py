"""``pyflow run``: a pipeline from the command line, with its parameters as options."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from pyflow.api import Pipeline, Started, open_workplace
from pyflow.cli.failures import FAILED, INTERRUPTED, UserCodeError, Wrong, exit_code_of_run, hinted, tell_of_run
from pyflow.cli.readable import readable
from pyflow.cli.source import Source, load_source
from pyflow.cli.words import Parameter, Words, help_text, parameters_of, understand, values_of
from pyflow.config import Settings
from pyflow.errors import PyflowError
from pyflow.executors import Ending
from pyflow.graph import Graph
from pyflow.terminal import clean, counted

OWN: Final[Mapping[str, bool]] = {
    "executor": True, "store": True, "name": True, "parallelism": True, "progress": False, "no-progress": False,
}  # fmt: skip
"""Options of ``pyflow run``, and whether each takes a value."""

_MOST_LINES: Final = 50

PASS_ON: Final = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What stands behind FILE is read by ``words``, not by click."""


@click.command(context_settings=PASS_ON, options_metavar="[OPTIONS]")
@click.option("--executor", metavar="NAME", help="Where tasks run: local (default), inprocess, docker or argo.")
@click.option("--store", metavar="URL", help="URL or folder of the store to keep the run in.")
@click.option("--name", metavar="NAME", help="What to call the run; otherwise as the pipeline is called.")
@click.option("--parallelism", type=click.IntRange(min=1), metavar="N", help="How many tasks may run at once.")
@click.option("--progress/--no-progress", default=None, help="Show how the run goes on; on unless set otherwise.")
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
def run(file: str, words: tuple[str, ...], **options: Any) -> None:
    """Run a pipeline and print what it returns.

    FILE is a .py file or the dotted name of a module; PIPELINE names one of its pipelines if it has several.
    Options that stand before FILE are these; behind it stand the pipeline's parameters:

    \b
        pyflow run flow.py --path scenes.csv --lrs 0.1 --lrs 0.01
        pyflow run --executor inprocess flow.py:train --path scenes.csv

    An option of pyflow may stand behind FILE as well, unless the pipeline has a parameter of that name.
    'pyflow run FILE --help' lists the parameters. Values are read by their types; lists and dicts as JSON,
    or with the parameter repeated.
    """  # noqa: D301  click reads the \b
    source = load_source(file)
    pipeline = source.pipeline()
    parameters = parameters_of(pipeline.fn)
    with hinted(f"'pyflow run {file} --help' lists the parameters."):
        found = understand(words, parameters, OWN)
        if found.is_help:
            print_help(source, pipeline, parameters, "run")
            return
        args, kwargs = values_of(found.given, parameters)
    started = prepared(pipeline.with_options(**options_of(options, found)), args, kwargs)
    _carry_out(started)


def print_help(source: Source, pipeline: Pipeline[..., Any], parameters: list[Parameter], command: str) -> None:
    """Print what a pipeline is for and what it takes."""
    named = f":{source.wanted}" if source.wanted else ""
    click.echo(f"Usage: pyflow {command} [OPTIONS] {source.label}{named} [--PARAMETER VALUE]...")
    doc = inspect.getdoc(pipeline.fn)
    if doc:
        click.echo("\n" + "\n".join(f"  {clean(line)}".rstrip() for line in doc.splitlines()))
    rows = help_text(parameters)
    click.echo(f"\nParameters of {pipeline.name!r}:" if rows else f"\nPipeline {pipeline.name!r} has no parameters.")
    formatter = click.HelpFormatter(width=80)
    if rows:
        with formatter.indentation():
            formatter.write_dl([(clean(left), clean(right)) for left, right in rows])
    click.echo(formatter.getvalue(), nl=False)
    click.echo(f"\nOptions of pyflow itself: 'pyflow {command} --help'.")


def traced(pipeline: Pipeline[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Graph:
    """The graph of a call.

    Raises:
        UserCodeError: The body of the pipeline raised.
    """
    try:
        return pipeline.trace(*args, **kwargs)
    except (PyflowError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise UserCodeError(_of_body(pipeline), error) from error


def prepared(pipeline: Pipeline[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Started:
    """A run of a call that waits to be carried out, or that a cluster has taken on.

    Raises:
        UserCodeError: The body of the pipeline raised.
    """
    try:
        return pipeline.prepare(tuple(args), kwargs)
    except (PyflowError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise UserCodeError(_of_body(pipeline), error) from error


def _of_body(pipeline: Pipeline[..., Any]) -> str:
    return f"the body of pipeline {pipeline.name!r} raised, at {pipeline.definition.at}. Nothing has run."


def options_of(options: dict[str, Any], found: Words) -> dict[str, Any]:
    """Pyflow's options, from before FILE and from behind it."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in found.own.items():
        if name == "parallelism":
            if value is None or not value.isdecimal() or int(value) < 1:
                raise Wrong(f"--parallelism must be a whole number of 1 or more, got {value!r}.")
            given[name] = int(value)
        elif name in {"progress", "no-progress"}:
            given["progress"] = name == "progress"
        else:
            given[name] = value
    if "progress" not in given and open_workplace(Settings()).settings.progress is None:
        given["progress"] = True
    return given


def _carry_out(started: Started) -> None:
    try:
        # What tasks print in this process is shown, and standard output is for the result.
        with contextlib.redirect_stdout(sys.stderr):
            ending = started.carry_out()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"Stopped at once. {_kept(started, None)}") from error
    if ending.is_detached:
        click.echo(started.run.detached_text(), err=True)
        sys.exit(INTERRUPTED)
    if ending.is_interrupted and not ending.is_success:
        click.echo(f"Stopped. {_kept(started, ending)}", err=True)
        sys.exit(INTERRUPTED)
    if ending.is_success:
        _print_result(started)
        return
    if ending.is_cancelled:
        click.echo(f"Error: run {started.run.id} was cancelled. {_kept(started, ending)}", err=True)
        sys.exit(FAILED)
    failure = started.run.failure()
    tell_of_run(failure)
    sys.exit(exit_code_of_run(failure))


def _kept(started: Started, ending: Ending | None) -> str:
    what = "What had finished is kept"
    if ending is not None:
        count = ending.counts.get("succeeded", 0)
        what = f"{counted(count, 'result')} {'is' if count == 1 else 'are'} kept"
    return f"{what}: {started.run.command('show')}"


def _print_result(started: Started) -> None:
    value = started.run.result()
    if value is None:
        return
    lines = readable(value).split("\n")
    click.echo("\n".join(lines[:_MOST_LINES]))
    if len(lines) > _MOST_LINES:
        click.echo(f"… {len(lines) - _MOST_LINES} more lines: {started.run.command('result')}", err=True)
