"""``pyflow graph``: a pipeline as a picture, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from pyflow.api import Pipeline
from pyflow.cli.failures import UserCodeError, Wrong, hinted
from pyflow.cli.output import print_json
from pyflow.cli.run import PASS_ON, print_help, traced
from pyflow.cli.source import load_source
from pyflow.cli.words import Parameter, Words, parameters_of, understand, values_of
from pyflow.errors import DefinitionError
from pyflow.graph import Graph, refs_of, regions_of
from pyflow.terminal import clean
from pyflow.tracing import trace_template

OWN: Final[Mapping[str, bool]] = {"format": True, "store": False, "json": False}
FORMATS: Final = ("text", "mermaid")


@click.command(context_settings=PASS_ON, options_metavar="[OPTIONS]")
@click.option("--format", "style", type=click.Choice(FORMATS), default=None, help="text (default) or mermaid.")
@click.option("--store", "has_store", is_flag=True, help="With mermaid: draw what lies in the store between tasks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
def graph(file: str, words: tuple[str, ...], style: str | None, *, has_store: bool, as_json: bool) -> None:
    """Draw a pipeline without running its tasks.

    Parameters are given as for 'pyflow run'. Without those that are required, the pipeline is drawn as it
    is for any value of them, and for the defaults of the others.
    """
    source = load_source(file)
    pipeline = source.pipeline()
    parameters = parameters_of(pipeline.fn)
    with hinted(f"'pyflow graph {file} --help' lists the parameters."):
        found = understand(words, parameters, OWN)
    if found.is_help:
        print_help(source, pipeline, parameters, "graph")
        return
    style = found.own.get("format") or style or "text"
    if style not in FORMATS:
        raise Wrong(f"--format must be text or mermaid, got {style!r}.")
    drawn = graph_of(pipeline, parameters, found)
    if as_json or "json" in found.own:
        print_json(_to_wire(drawn))
    else:
        has_store = has_store or "store" in found.own
        click.echo(clean(drawn.to_mermaid(has_store=has_store) if style == "mermaid" else str(drawn)).rstrip("\n"))


def graph_of(pipeline: Pipeline[..., Any], parameters: list[Parameter], found: Words) -> Graph:
    """The graph for the parameters that were given; for any, where required ones are missing and none is given."""
    if not found.given and any(p.is_required for p in parameters):
        missing = ", ".join(f"{p.option} ({p.type_text})" for p in parameters if p.is_required)
        try:
            return trace_template(pipeline.definition, keeps_defaults=True)
        except DefinitionError as error:
            raise DefinitionError(
                f"{error}\nWith its parameters the pipeline may be drawn; missing: {missing}."
            ) from error
        except Exception as error:
            raise UserCodeError(
                f"The body of pipeline {pipeline.name!r} raised this when it had no values for its parameters; missing: {missing}.",
                error,
            ) from error
    args, kwargs = values_of(found.given, parameters)
    return traced(pipeline, args, kwargs)


def _to_wire(drawn: Graph) -> dict[str, Any]:
    return {
        "name": drawn.name,
        "at": str(drawn.at),
        "parameters": [
            {"name": p.name, "type": p.annotation or None, "required": p.is_required} for p in drawn.parameters
        ],
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "kind": type(node).__name__.removesuffix("Node").lower(),
                "at": str(node.at),
                "needs": list(dict.fromkeys(ref.node for ref in refs_of(node))),
                "after": list(node.after),
                "inside": inside.get(node.id),
            }
            for inside in [_parents(drawn)]
            for node in drawn.walk()
        ],
        "on_exit": None if drawn.on_exit is None else drawn.on_exit.name,
    }


def _parents(drawn: Graph) -> dict[int, int]:
    """For each node inside of a map or branch, the node that holds it."""
    return {inner.id: node.id for node in drawn.walk() for region in regions_of(node) for inner in region.nodes}
