"""The data of a placeholder, and when it may be used; its operators live in ``placeholder``."""

from __future__ import annotations

from pyflow.errors import DefinitionError
from pyflow.graph import Input, Location, Path, Ref
from pyflow.tracing.drafts import Draft, InputOrigin, Scope
from pyflow.tracing.location import here, library_here


class Traced:
    """Stands for a value: which node or input makes it, and which part of that it is."""

    # The names are odd so that they hide no attribute of the value that this stands for.
    __slots__ = ("__pyflow_at__", "__pyflow_length__", "__pyflow_origin__", "__pyflow_path__", "__pyflow_span__")

    __pyflow_origin__: Draft | InputOrigin
    __pyflow_path__: Path
    __pyflow_at__: Location | None
    """Where the part was taken, when it is one."""
    __pyflow_length__: int | None
    """How many parts the value has, where that is known."""
    __pyflow_span__: tuple[Draft, ...] | None
    """The calls of a pipeline that was called inside another one, when this is its result."""


def part_text(path: Path) -> str:
    """A path as it is written behind a name: ``['key'].attribute``."""
    return "".join(f".{key}" if kind == "attr" else f"[{key!r}]" for kind, key in path)


def describe(value: Traced) -> str:
    """What the placeholder stands for, in the words of an error message."""
    origin = value.__pyflow_origin__
    part = part_text(value.__pyflow_path__)
    part = f"{part} of " if part else ""
    if isinstance(origin, Draft):
        return f"{part}the result of {origin.name!r} (called at {origin.at})"
    if origin.scope.kind == "map":
        return f"{part}the parameter {origin.name!r} of a mapped call (at {origin.at})"
    return f"{part}the parameter {origin.name!r} (of the pipeline at {origin.at})"


def is_parameter(value: Traced) -> bool:
    """Whether the value is a parameter of the whole pipeline, which this trace has no value for."""
    return isinstance(value.__pyflow_origin__, InputOrigin) and value.__pyflow_origin__.scope.kind == "body"


def expr_of(value: Traced, scope: Scope) -> Ref | Input:
    """The expression that means this value in a scope.

    Raises:
        DefinitionError: The value cannot be used there.
    """
    origin = value.__pyflow_origin__
    if origin.scope is not scope and not scope.sees(origin.scope):
        raise cannot_use(value, scope)
    return origin.expr(value.__pyflow_path__, value.__pyflow_at__)


def cannot_use(value: Traced, scope: Scope) -> DefinitionError:
    """Why the value is out of reach in this scope, and what to write instead."""
    origin = value.__pyflow_origin__
    what, at = describe(value), here()
    theirs, ours = origin.scope.trace, scope.trace
    if theirs is not ours and theirs.is_open:
        return DefinitionError(
            f"At {at}, pipeline {ours.name!r} uses {what}, which belongs to the trace of pipeline {theirs.name!r}. "
            f"Call {ours.name!r} inside {theirs.name!r} like a function, without .trace(), and give it the value as an argument."
        )
    if theirs is not ours:
        return DefinitionError(f"At {at}, pipeline {ours.name!r} uses {what}. {ended(value)}")
    if origin.scope.kind == "branch":
        return DefinitionError(
            f"{what[0].upper()}{what[1:]} was made inside the branch at {origin.scope.at}, which may not run, and is used outside of "
            f"it at {at}. After the branch write first_of(value, default=...), or first_of(value, other) with a value of each side, and use what that gives."
        )
    return DefinitionError(
        f"At {at}, the body of the map {_map_name(scope)!r} uses {what}, which comes from outside of that body. The body runs "
        "once for each item and sees its arguments only: pass the value as a keyword argument, .map(items, name=value)."
        if origin.scope.is_open
        else f"At {at}, {what} is used outside of the map that it belongs to. Return it from the mapped pipeline: "
        "the map's result is the list of what its body returns."
    )


def _map_name(scope: Scope) -> str:
    while scope.kind == "branch" and scope.parent is not None:
        scope = scope.parent
    return scope.owner.name if scope.owner is not None else scope.trace.name


def ended(value: Traced) -> str:
    """The sentence for a placeholder that outlived its trace."""
    name = value.__pyflow_origin__.scope.trace.name
    return (
        f"The trace of pipeline {name!r} has ended, and the placeholder stands for nothing any more. Return the value "
        f"from {name!r}: calling that pipeline gives the real one."
    )


def refused(value: Traced, operation: str, advice: str) -> DefinitionError:
    """The one error for every use that a placeholder cannot take part in.

    Args:
        operation: How the user wrote it: ``len()``, ``+``.
        advice: What to write instead, whole sentences.
    """
    what, at = describe(value), here()
    library = library_here()
    if library is not None:
        operation, advice = (
            f"a call into {library!r}",
            f"{advice} What {library!r} is to work on must exist: call it inside a task.",
        )
    if not value.__pyflow_origin__.scope.trace.is_open:
        return DefinitionError(f"At {at}, {operation} cannot be used on {what}. {ended(value)}")
    if is_parameter(value):
        why = "this trace has no values for the parameters, they are given later, when the pipeline runs."
    else:
        why = "while the pipeline is traced there is no value yet, only a placeholder for it."
    return DefinitionError(f"At {at}, {operation} cannot be used on {what}: {why} {advice}")
