"""Running the body of a pipeline once, to see which tasks it calls: the way from a definition to its graph."""

from __future__ import annotations

import warnings
from typing import Any

from pyflow.errors import DefinitionError, PyflowError, add_note
from pyflow.graph import CallNode, Expr, Graph, Input, Location
from pyflow.tracing.captures import refuse_captures
from pyflow.tracing.definition import Definition
from pyflow.tracing.drafts import Draft, InputOrigin, Scope
from pyflow.tracing.location import bodies, here, is_foreign, pinned, raised_at
from pyflow.tracing.mapping import arguments_of, body_output, keywords, map_draft, positional, result_of, whole
from pyflow.tracing.order import add_edges, calls_of, close_block, open_block
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import Trace, activated, active
from pyflow.tracing.signature import parameters_of, positional_names
from pyflow.tracing.values import express


def trace(definition: Definition, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Graph:
    """The graph of a pipeline for these arguments; its body runs once, and no task does.

    Raises:
        TypeError: The arguments do not fit the pipeline, as a plain call would say.
        DefinitionError: The body does what a pipeline cannot do.
    """
    definition.bind(args, kwargs or {})
    recorder = Trace(definition.name, definition.at)
    return _traced(definition, recorder, args, kwargs or {})


def trace_template(definition: Definition, *, keeps_defaults: bool = False) -> Graph:
    """The graph of a pipeline whose parameters are given later: they are inputs of its region.

    Args:
        definition: The pipeline.
        keeps_defaults: Parameters that have a default get it, and only the others are given later.

    Raises:
        DefinitionError: The body needs the value of a parameter, or does what a pipeline cannot do.
    """
    recorder = Trace(definition.name, definition.at, is_template=True)
    parameters = parameters_of(definition.fn)
    starred = [parameter.name for parameter in parameters if parameter.name.startswith("*")]
    if starred:
        raise DefinitionError(
            f"Pipeline {definition.name!r} (at {definition.at}) takes {', '.join(starred)}. To be given parameters later, it must "
            "name each of them: take a list or a dict instead."
        )
    values = [
        parameter.default
        if keeps_defaults and not parameter.is_required
        else Placeholder(InputOrigin(recorder.scope, parameter.name, definition.at))
        for parameter in parameters
    ]
    by_position = len(positional_names(definition.fn))
    rest = {
        parameter.name: value for parameter, value in zip(parameters[by_position:], values[by_position:], strict=True)
    }
    return _traced(definition, recorder, tuple(values[:by_position]), rest)


def _traced(definition: Definition, recorder: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
    scope = recorder.scope
    scope.defaults = definition.defaults
    with activated(recorder):
        open_block(scope, is_steps=definition.order == "calls")
        value = _run_body(definition, args, kwargs)
        with pinned(_def_line(definition)):
            output = express(value, scope, set(), f"the result of pipeline {definition.name!r}")
        close_block(scope)
        _refuse_leftovers(recorder)
        on_exit = _exit_handler(definition, recorder)
    return Graph(
        name=definition.name,
        region=scope.region(output),
        parameters=parameters_of(definition.fn),
        on_exit=on_exit,
        parallelism=definition.parallelism,
        fail_fast=definition.fail_fast,
        at=definition.at,
    )


def _run_body(definition: Definition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bodies.append(definition.fn.__code__)
    try:
        return definition.fn(*args, **kwargs)
    except PyflowError:
        raise
    except Exception as error:
        # json.dumps, str.join and other C code ask no hook of ours; they name the type that they cannot use.
        if Placeholder.__name__ in str(error) or (isinstance(error, TypeError) and _is_beside_placeholder(error)):
            add_note(
                error,
                f"At {raised_at(error.__traceback__)}: a Placeholder stands for the result of a task while pipeline {definition.name!r} is "
                "traced; there is no value yet. Do this inside a task, and give it the value as an argument.",
            )
        raise
    finally:
        bodies.remove(definition.fn.__code__)


def _is_beside_placeholder(error: TypeError) -> bool:
    """Whether the function that raised has a placeholder in a variable: some messages, of `re` on Python 3.10, do not name the type."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        user_frame, traceback = traceback, traceback.tb_next
        if is_foreign(traceback.tb_frame.f_code.co_filename):
            traceback = user_frame
            break
    held = traceback.tb_frame.f_locals.values() if traceback is not None else ()
    return any(isinstance(part, Placeholder) for part in held)


def _def_line(definition: Definition) -> Location:
    code = definition.fn.__code__
    return Location(code.co_filename, code.co_firstlineno)


def _refuse_leftovers(recorder: Trace) -> None:
    """Raise for everything that can only be known when the body has ended, all at once."""
    faults = [
        f"The condition ({condition.text}) of {condition.at} is never used. Write `with when(condition):`; if the comparison is a value "
        "that you want, compare inside a task."
        for condition in recorder.conditions
        if not condition.is_used
    ]
    faults += recorder.faults
    for function, at in recorder.functions.items():
        try:
            refuse_captures(function.fn, function.name, at)
        except DefinitionError as error:
            faults.append(str(error))
    if faults:
        raise DefinitionError("\n".join(faults))


def _exit_handler(definition: Definition, recorder: Trace) -> CallNode | None:
    handler = definition.on_exit
    if handler is None:
        return None
    at, function = handler.function.at, handler.function
    refuse_captures(function.fn, function.name, at)
    options = handler.options_in(recorder, definition.defaults)
    bound: tuple[Expr, ...] = tuple(express(value, recorder.scope, set(), "self") for value in handler.bound)
    return CallNode(
        id=len(recorder.drafts),
        name=recorder.names.take(options.name or function.name),
        at=definition.at,
        function=function,
        args=(*bound, Input(0)),
        kwargs=(),
        options=options,
    )


def call_inline(
    definition: Definition, args: tuple[Any, ...], kwargs: dict[str, Any], after: tuple[Any, ...] = ()
) -> Any:
    """Call a pipeline in the body of another one: its calls become calls of that one, named ``clean/load``.

    Args:
        after: Calls that have to end before any call of the pipeline starts.

    Returns:
        What the body returns. For the order of calls, a placeholder in it means the whole pipeline.
    """
    recorder = _active()
    definition.bind(args, kwargs)
    _warn_of_exit(definition)
    scope = recorder.scope
    first = len(scope.drafts)
    prefix = recorder.names.take(scope.prefix + definition.name)
    value = _run_inside(definition, scope, prefix, args, kwargs)
    inner = tuple(scope.drafts[first:])
    if after:
        operation = f"{definition.name}.after()"
        add_edges(calls_of(list(after), operation), list(inner), operation)
    return _as_one_step(value, inner)


def _run_inside(
    definition: Definition, scope: Scope, prefix: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run the body into this scope, with its own prefix, defaults and order of calls."""
    around = scope.prefix, scope.defaults
    scope.prefix = f"{prefix}/"
    scope.defaults = scope.trace.defaults_below(scope.defaults, definition.defaults)
    open_block(scope, is_steps=definition.order == "calls")
    try:
        return _run_body(definition, args, kwargs)
    finally:
        close_block(scope)
        scope.prefix, scope.defaults = around


def _as_one_step(value: Any, inner: tuple[Draft, ...]) -> Any:
    if isinstance(value, Placeholder):
        return Placeholder(
            value.__pyflow_origin__, value.__pyflow_path__, value.__pyflow_length__, inner, value.__pyflow_at__
        )
    if type(value) in (list, tuple):
        return type(value)(_as_one_step(item, inner) for item in value)
    if type(value) is dict:
        return {key: _as_one_step(item, inner) for key, item in value.items()}
    return value


def map_inline(
    definition: Definition, args: tuple[Any, ...], kwargs: dict[str, Any], after: tuple[Any, ...] = ()
) -> Any:
    """Map a pipeline in the body of another one: its body is traced once, and will run for each item.

    Returns:
        A placeholder for the list of what the body returns.
    """
    recorder = _active()
    _warn_of_exit(definition)
    definition.bind(args, kwargs)
    arguments = arguments_of(definition.name, positional_names(definition.fn), args, kwargs)
    draft, values = map_draft(recorder, definition.name, arguments)
    if after:
        operation = f"{definition.name}.after()"
        add_edges(calls_of(list(after), operation), [draft], operation)
    with whole(draft), recorder.inside(draft.body):
        positionals, named = tuple(positional(arguments, values)), keywords(arguments, values)
        value = _run_inside(definition, draft.body, draft.name, positionals, named)
        with pinned(_def_line(definition)):
            body_output(draft, value)
    return result_of(draft, arguments)


def _active() -> Trace:
    if active.trace is None:
        raise DefinitionError(f"At {here()} a pipeline was called as a part of another one, but none is being traced.")
    return active.trace


def _warn_of_exit(definition: Definition) -> None:
    if definition.on_exit is not None:
        at = here()
        message = (
            f"Pipeline {definition.name!r} is called inside another one at {at}; its exit handler {definition.on_exit.function.name!r} "
            "will not run. Only the outermost pipeline's on_exit does."
        )
        warnings.warn_explicit(message, UserWarning, at.file, at.line)
