"""``pyflow check``: would the code of a pipeline be complete where it runs?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from pyflow.api import Fault, FunctionUse, Pipeline, find_faults, functions_in, open_workplace
from pyflow.bundle import CodeBundle, computed_imports, discover
from pyflow.cli.failures import FAILED, UserCodeError, Wrong, hinted
from pyflow.cli.graph import graph_of
from pyflow.cli.output import print_json
from pyflow.cli.run import PASS_ON, print_help
from pyflow.cli.source import Source, load_source
from pyflow.cli.words import parameters_of, understand
from pyflow.config import Settings
from pyflow.errors import DefinitionError
from pyflow.executors import images_of_tasks
from pyflow.graph import Function, Graph
from pyflow.terminal import clean, counted
from pyflow.tracing import raised_at

OWN: Final[Mapping[str, bool]] = {"json": False}


@click.command(context_settings=PASS_ON, options_metavar="[OPTIONS]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
def check(file: str, words: tuple[str, ...], *, as_json: bool) -> None:
    """Load each task in a clean process, from the code that would be shipped alone.

    The process sees your local modules as they would travel, the standard library, and the packages that the task
    names in packages= or else what is installed here, but neither this folder nor PYTHONPATH. Where the settings name
    a cluster, a task in one of Python's own images sees nothing that is installed here. What a task would miss is
    listed with the line that needs it, and the command ends with 1.

    FILE checks all tasks and pipelines in the file, FILE:PIPELINE those that this one calls.
    """
    source = load_source(file)
    is_whole = source.wanted is None and set(words) <= {"--json", "--help"}
    if is_whole:
        if "--help" in words:
            click.echo(click.get_current_context().get_help())
            return
        asked, notes, untraced = _all_functions(source)
        as_json = as_json or "--json" in words
    else:
        pipeline = source.pipeline()
        parameters = parameters_of(pipeline.fn)
        with hinted(f"'pyflow check {file} --help' lists the parameters."):
            found = understand(words, parameters, OWN)
            if found.is_help:
                print_help(source, pipeline, parameters, "check")
                return
            asked, notes, untraced = functions_in(graph_of(pipeline, parameters, found)), [], []
        as_json = as_json or "json" in found.own
    _report(source.label, asked, notes, untraced, as_json=as_json)


def _report(label: str, asked: list[FunctionUse], notes: list[str], untraced: list[Fault], *, as_json: bool) -> None:
    functions = list({id(one.function.fn): one.function for one in asked}.values())
    bundle = discover([function.fn for function in functions])
    settings = open_workplace(Settings()).settings
    images = images_of_tasks(settings.executor, settings)
    found = find_faults(asked, bundle, lambda line: click.echo(clean(line), err=True), images)
    faults, modules = untraced + found.faults, found.modules
    notes = notes + found.notes + _computed_imports(functions, bundle)
    names = sorted({function.name for function in functions})
    if as_json:
        wire = [{"task": name, "module": module, "at": at, "error": text} for name, module, at, text in faults]
        print_json({"ok": not faults, "tasks": names, "modules": modules, "missing": wire, "notes": notes})
    else:
        _tell(label, names, modules, [text for *_, text in faults], notes)
    if faults:
        sys.exit(FAILED)


def _tell(
    label: str, names: Sequence[str], modules: Sequence[str], faults: Sequence[str], notes: Sequence[str]
) -> None:
    for note in notes:
        click.echo(clean(f"Note: {note}"), err=True)
    for text in faults:
        click.echo(clean(f"✗ {text}"))
    tasks = counted(len(names), "task")
    if faults:
        click.echo(f"{tasks} of {label} checked: {counted(len(faults), 'fault')}.", err=True)
        return
    shipped = f"with {', '.join(modules)}" if modules else "with no local modules"
    click.echo(clean(f"✓ {tasks} of {label} can be imported elsewhere, {shipped}."))


def _computed_imports(functions: Sequence[Function], bundle: CodeBundle) -> list[str]:
    """What the check cannot see: modules whose names are made up while code runs."""
    files = {function.at.file for function in functions} | set(bundle.origin.values())
    places = [f"{file}:{line}" for file in sorted(files) for line in computed_imports(file)]
    return [
        f"at {place} a module is imported by a name that is only known when the code runs, so it was not checked."
        for place in places
    ]


def _all_functions(source: Source) -> tuple[list[FunctionUse], list[str], list[Fault]]:
    found: dict[tuple[object, ...], FunctionUse] = {}
    notes: list[str] = []
    untraced: list[Fault] = []
    for name, pipeline in source.pipelines.items():
        try:
            inner = functions_in(_any_graph(pipeline))
        except DefinitionError as error:
            notes.append(
                f"pipeline {name!r} cannot be traced without its parameters, so only tasks that have a name in the file "
                f"were checked. 'pyflow check {source.label}:{name} --PARAMETER VALUE' checks all. ({error})"
            )
            continue
        except UserCodeError as error:
            # One body that raises must not hide the tasks of the other pipelines.
            raised = f"{type(error.error).__name__}: {error.error}"
            at = str(raised_at(error.error.__traceback__) or pipeline.definition.at)
            if any(p.is_required for p in parameters_of(pipeline.fn)):
                notes.append(
                    f"pipeline {name!r} cannot be traced without its parameters ({raised}, at {at}), so only tasks that have a name in the "
                    f"file were checked. 'pyflow check {source.label}:{name} --PARAMETER VALUE' checks all."
                )
            else:
                untraced.append((name, "", at, f"the body of pipeline {name!r} raises ({at}): {raised}"))
            continue
        found |= {one.key: one for one in inner}
    called = {id(one.function.fn) for one in found.values()}
    for task in source.tasks.values():
        # Its options at a call are what counts, so those of the decorator do where none is known.
        if id(task.fn) not in called:
            alone = FunctionUse(task.function, task.own_options())
            found[alone.key] = alone
    if not found and not untraced:
        raise Wrong(f"{source.label} has no tasks. Write @task above a function.")
    return list(found.values()), notes, untraced


def _any_graph(pipeline: Pipeline[..., Any]) -> Graph:
    parameters = parameters_of(pipeline.fn)
    return graph_of(pipeline, parameters, understand([], parameters, OWN))
