"""Fan-out: ``f.map(xs)``, ``each()``, and the body that a map runs for every item."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pyflow.artifacts import Artifact
from pyflow.errors import DefinitionError
from pyflow.graph import Build, Expr, Input, Literal, Location, MapInput, Ref
from pyflow.tracing.drafts import InputOrigin, MapDraft
from pyflow.tracing.location import here
from pyflow.tracing.placeholder import Placeholder
from pyflow.tracing.recorder import Trace
from pyflow.tracing.traced import Traced
from pyflow.tracing.values import Each, express

T = TypeVar("T")


def each(values: Iterable[T]) -> T:
    """Mark a keyword argument of ``.map()`` as one to go through item by item.

    To the type checker it is one item, which is what the task gets.
    """
    return Each(values)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a map."""

    name: str
    """Of the parameter."""
    keyword: str | None
    """How it is passed; None: by position."""
    value: Any
    """For a mapped argument a list, or a placeholder for one."""
    is_each: bool

    @property
    def length(self) -> int | None:
        """How many items there are, where that is known."""
        if isinstance(self.value, Artifact):
            return None
        return self.value.__pyflow_length__ if isinstance(self.value, Traced) else len(self.value)


def arguments_of(
    name: str, names: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any], bound: tuple[Any, ...] = ()
) -> list[Argument]:
    """The arguments of ``.map(*args, **kwargs)``: positional ones mapped, keywords whole unless ``each()`` says otherwise.

    Args:
        bound: What goes before the positional arguments and is passed whole: the ``self`` of a method.

    Raises:
        DefinitionError: Nothing is mapped, something cannot be, or two lengths differ.
    """
    at = here()
    listed = [Argument(f"argument {i + 1}", None, value, is_each=False) for i, value in enumerate(bound)]
    for i, value in enumerate(args, start=len(bound)):
        parameter = names[i] if i < len(names) else f"argument {i + 1}"
        listed.append(Argument(parameter, None, _items(value, name, parameter, at), is_each=True))
    for key, value in kwargs.items():
        marked = isinstance(value, Each)
        listed.append(Argument(key, key, _items(value, name, key, at) if marked else value, is_each=marked))
    _check_lengths(name, [a for a in listed if a.is_each], at)
    return listed


def _items(value: Any, name: str, parameter: str, at: Location) -> Any:
    if isinstance(value, Each):
        value = value.values
    if isinstance(value, (Traced, Artifact)):
        return value
    if isinstance(value, (str, bytes)):
        message = (
            f"{name}.map() at {at} goes through {parameter!r} = {value!r} character by character. For one item write [{value!r}]; "
            f"if the signs are meant, list({value!r})."
        )
        warnings.warn_explicit(message, UserWarning, at.file, at.line)
    try:
        return list(value)
    except TypeError as error:
        raise DefinitionError(
            f"{name}.map() at {at} cannot go through {parameter!r}: {error}. Positional arguments are mapped, so they must be "
            f"lists or other iterables; what every item shares is passed by keyword: {name}.map(items, {parameter}=...)."
        ) from error


def _check_lengths(name: str, mapped: list[Argument], at: Location) -> None:
    if not mapped:
        raise DefinitionError(
            f"{name}.map() at {at} has nothing to go through. Positional arguments are mapped, and keywords wrapped in each(): "
            f"{name}.map(items), or {name}.map(x=each(items))."
        )
    known = [(argument.name, argument.length) for argument in mapped if argument.length is not None]
    if len({length for _, length in known}) > 1:
        lengths = ", ".join(f"{parameter!r} has {length}" for parameter, length in known)
        raise DefinitionError(
            f"{name}.map() at {at} goes through its arguments side by side, but they differ in length: {lengths}. Make them equally "
            f"long; an argument that is the same for every item is passed by keyword, without each()."
        )


def map_plainly(fn: Callable[..., T], arguments: list[Argument]) -> list[T]:
    """The list of results, computed here and now: what a map means outside of a pipeline."""
    columns = [a.value if a.is_each else None for a in arguments]
    count = next(len(column) for column in columns if column is not None)
    results = []
    for i in range(count):
        values = [a.value if column is None else column[i] for a, column in zip(arguments, columns, strict=True)]
        results.append(fn(*positional(arguments, values), **keywords(arguments, values)))
    return results


def positional(arguments: list[Argument], values: list[Any]) -> list[Any]:
    """The values that are passed by position."""
    return [value for a, value in zip(arguments, values, strict=True) if a.keyword is None]


def keywords(arguments: list[Argument], values: list[Any]) -> dict[str, Any]:
    """The values that are passed by keyword."""
    return {a.keyword: value for a, value in zip(arguments, values, strict=True) if a.keyword is not None}


def map_draft(trace: Trace, name: str, arguments: list[Argument]) -> tuple[MapDraft, list[Any]]:
    """A map whose body is still empty, and what stands for each argument inside the body."""
    draft = MapDraft(trace.scope, trace.names.take(trace.scope.prefix + name), here())
    with whole(draft):
        values = [_value_inside(draft, argument) for argument in arguments]
    trace.record(draft)
    return draft, values


@contextmanager
def whole(draft: MapDraft) -> Iterator[None]:
    """Keep the map only if all of its body could be traced."""
    try:
        yield
    except BaseException:
        draft.scope.drafts.remove(draft)
        raise


def result_of(draft: MapDraft, arguments: list[Argument]) -> Placeholder:
    """Stands for the list of results."""
    length = next((a.length for a in arguments if a.is_each and a.length is not None), None)
    return Placeholder(draft, (), length)


def _value_inside(draft: MapDraft, argument: Argument) -> Any:
    what = f"argument {argument.name!r} of {draft.name!r}.map()"
    expr = express(argument.value, draft.scope, draft.needs, what)
    if argument.is_each:
        return _input(draft, expr, argument.name, is_each=True)
    return _known_or_input(draft, expr, argument.name)


def _known_or_input(draft: MapDraft, expr: Expr, name: str) -> Any:
    """The value itself where it is known, an input of the body where it is not, and both inside a structure."""
    if isinstance(expr, Literal):
        return expr.value
    if isinstance(expr, (Ref, Input)):
        return _input(draft, expr, name, is_each=False)
    return _rebuilt(expr, [_known_or_input(draft, item, name) for item in expr.items])


def _rebuilt(expr: Build, items: list[Any]) -> Any:
    if expr.kind == "dict":
        return dict(zip(expr.keys, items, strict=True))
    if expr.kind == "object":
        assert expr.type is not None
        if issubclass(expr.type, tuple):
            return expr.type._make(items)  # type: ignore[attr-defined]
        value = object.__new__(expr.type)
        for key, item in zip(expr.keys, items, strict=True):
            object.__setattr__(value, str(key), item)
        return value
    return items if expr.kind == "list" else tuple(items)


def _input(draft: MapDraft, expr: Expr, name: str, *, is_each: bool) -> Placeholder:
    draft.inputs.append(MapInput(expr, is_each))
    return Placeholder(InputOrigin(draft.body, name, draft.at))


def body_output(draft: MapDraft, value: Any) -> None:
    """Say what the body of a map gives for one item."""
    draft.output = express(value, draft.body, set(), f"the result of {draft.name!r}")
