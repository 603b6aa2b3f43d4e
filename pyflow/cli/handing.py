"""``pyflow submit``, ``compile``, ``deploy`` and ``start``: a run is handed over, written down, or kept for later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pyflow.api import Pipeline, carry_out_aside, load_deployment, open_workplace
from pyflow.cli.common import store_option
from pyflow.cli.failures import UserCodeError, Wrong, exit_code_of_run, hinted, tell_of_run
from pyflow.cli.run import OWN, PASS_ON, options_of, prepared, print_help
from pyflow.cli.source import load_source
from pyflow.cli.words import Words, parameters_of, understand, values_of
from pyflow.config import Settings
from pyflow.errors import PyflowError
from pyflow.executors import is_remote
from pyflow.late import late
from pyflow.terminal import clean

if TYPE_CHECKING:
    import yaml
else:
    yaml = late("yaml")

_OWN_OF_DEPLOY: Final[Mapping[str, bool]] = {"schedule": True, "timezone": True, "store": True, "name": True}
_OWN_OF_COMPILE: Final[Mapping[str, bool]] = {"target": True, "store": True, "name": True, "output": True}


@click.command(context_settings=PASS_ON, options_metavar="[OPTIONS]")
@click.option("--executor", metavar="NAME", help="Where tasks run, as for 'pyflow run'.")
@click.option("--store", metavar="URL", help="URL or folder of the store to keep the run in.")
@click.option("--name", metavar="NAME", help="What to call the run; otherwise as the pipeline is called.")
@click.option("--parallelism", type=click.IntRange(min=1), metavar="N", help="How many tasks may run at once.")
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
def submit(file: str, words: tuple[str, ...], **options: Any) -> None:
    """Start a run and print its id.

    On a cluster the run goes on by itself: 'pyflow show', 'logs --follow', 'result' and 'cancel' take the id. On other
    executors this command drives it, and ends when the run does.

    Parameters stand behind FILE, as for 'pyflow run'.
    """
    pipeline, found, args, kwargs = _called(file, words, OWN, "submit")
    started = prepared(pipeline.with_options(**{**options_of(options, found), "progress": False}), args, kwargs)
    click.echo(started.run.id)
    if not is_remote(started.executor):
        carry_out_aside(started)
        started.run.wait()


@click.command(context_settings=PASS_ON, options_metavar="[OPTIONS]")
@click.option("--target", default="argo", show_default=True, metavar="NAME", help="Which kind of cluster.")
@click.option("--store", metavar="URL", help="URL of the bucket that pods will work with.")
@click.option("--name", metavar="NAME", help="What to call the run; otherwise as the pipeline is called.")
@click.option(
    "-o", "--output", metavar="FILE", help="Where to write it; '-', which is the default, prints it. JSON for *.json."
)
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
def compile(  # noqa: A001  what the command is called
    file: str, words: tuple[str, ...], **options: Any
) -> None:
    """Write the manifest of a run on a cluster, as YAML, without asking the cluster for anything.

    The packed pipeline goes into the store, where the pods will find it: 'kubectl create -f FILE' or 'argo submit FILE' starts it
    then, and 'pyflow ls' lists it.

    Parameters stand behind FILE, as for 'pyflow run'.
    """
    pipeline, found, args, kwargs = _called(file, _spelled(words), _OWN_OF_COMPILE, "compile")
    own = {**options, **found.own}
    target, output = own.pop("target"), own.pop("output", None) or "-"
    chosen = pipeline.with_options(**{name: value for name, value in own.items() if value is not None})
    try:
        manifest = chosen.compile(*args, target=target, **kwargs)
    except (PyflowError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise UserCodeError(
            f"the body of pipeline {pipeline.name!r} raised, at {pipeline.definition.at}.", error
        ) from error
    is_json = output.endswith(".json")
    text = json.dumps(manifest, indent=2) + "\n" if is_json else yaml.safe_dump(manifest, sort_keys=False, width=120)
    click.echo(f"Expected: {manifest.expected}.", err=True)
    if output == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Wrong(f"{output!r} cannot be written: {error.strerror}.") from error


def _spelled(words: tuple[str, ...]) -> tuple[str, ...]:
    """``-o FILE`` may stand behind FILE, too, where options have long names only."""
    return tuple("--output" if word == "-o" else word for word in words)


@click.command(context_settings=PASS_ON, options_metavar="[OPTIONS]")
@click.option("--schedule", metavar="CRON", help="When it starts by itself, as '0 6 * * *'.")
@click.option("--timezone", metavar="NAME", help="Of the schedule, as Europe/Berlin.")
@click.option("--store", metavar="URL", help="URL of the bucket that pods will work with.")
@click.option("--name", metavar="NAME", help="What to call it; otherwise as the pipeline is called.")
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
def deploy(file: str, words: tuple[str, ...], **options: Any) -> None:
    """Put a pipeline on a cluster for good.

    Its parameters are given when a run starts: by 'pyflow start', in Argo's own page, by another program. With --schedule it
    starts by itself, with the parameters that stand behind FILE.
    """
    pipeline, found, _, given = _called(file, words, _OWN_OF_DEPLOY, "deploy", is_partial=True)
    own = {name: value for name, value in {**options, **found.own}.items() if value is not None}
    when = {name: own.pop(name) for name in ("schedule", "timezone") if name in own}
    deployment = pipeline.with_options(**own).deploy(**when, values=given)
    click.echo(
        f"{deployment.name} is deployed"
        + (f", and starts at {clean(when['schedule'])!r}." if "schedule" in when else ".")
    )
    click.echo(f"Start a run: pyflow start {deployment.name} [NAME=VALUE]...", err=True)


@click.command()
@store_option
@click.option("--wait", "is_waiting", is_flag=True, help="Wait for its end. Ends with 1 when it fails.")
@click.argument("name", metavar="NAME")
@click.argument("values", nargs=-1, metavar="[PARAMETER=VALUE]...")
def start(name: str, values: tuple[str, ...], store: str | None, *, is_waiting: bool) -> None:
    """Start a run of a pipeline that 'pyflow deploy' put on a cluster, and print its id.

    Values are read as JSON, and what is none is a text: items='[1, 2]' note=hello. Parameters that are left out have
    their defaults.
    """
    pairs = dict(_pair(word) for word in values)
    deployment = load_deployment(name, open_workplace(Settings(store=store)))
    run = deployment.run_with_texts(pairs)
    click.echo(run.id)
    if is_waiting and run.wait() != "succeeded":
        error = run.failure()
        tell_of_run(error)
        raise click.exceptions.Exit(exit_code_of_run(error))


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name.isidentifier():
        raise Wrong(f"{word!r} is not PARAMETER=VALUE.")
    return name, value


def _called(
    file: str, words: tuple[str, ...], own: Mapping[str, bool], command: str, *, is_partial: bool = False
) -> tuple[Pipeline[..., Any], Words, list[Any], dict[str, Any]]:
    """The pipeline that a command line names, with the arguments that it gives; help ends the command."""
    source = load_source(file)
    pipeline = source.pipeline()
    parameters = parameters_of(pipeline.fn)
    with hinted(f"'pyflow {command} {file} --help' lists the parameters."):
        found = understand(words, parameters, own)
        if found.is_help:
            print_help(source, pipeline, parameters, command)
            raise click.exceptions.Exit(0)
        wanted = [p for p in parameters if p.name in found.given] if is_partial else parameters
        args, kwargs = values_of(found.given, wanted)
    return pipeline, found, args, kwargs
