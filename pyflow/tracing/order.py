"""Order without data: ``a >> b``, ``.after(...)``, ``with steps():`` and ``with parallel():``."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from pyflow.errors import DefinitionError
from pyflow.tracing.cycles import refuse_cycle
from pyflow.tracing.drafts import Draft, Scope, visible_from
from pyflow.tracing.frames import Frame
from pyflow.tracing.location import here
from pyflow.tracing.recorder import active
from pyflow.tracing.traced import Traced, cannot_use, describe, ended
from pyflow.tracing.values import placeholders_in


class Statement(type):
    """The class of what is used like a statement: only there can ``with steps:``, without parentheses, be met."""

    if not TYPE_CHECKING:  # type checkers refuse it by themselves

        def __enter__(cls) -> NoReturn:
            written = f"with {cls.__name__}({'condition' if cls.__name__ == 'when' else ''}):"
            raise DefinitionError(f"`with {cls.__name__}:` at {here()} lacks its parentheses: write `{written}`.")

        def __exit__(cls, *_: object) -> None:
            """Python looks for it before it enters."""


class _Block(metaclass=Statement):
    """A ``with`` block that says how its calls follow each other."""

    __slots__ = ("_scope",)
    is_steps = False

    def __init__(self) -> None:
        self._scope: Scope | None = None

    def __enter__(self) -> None:
        if active.trace is not None:  # elsewhere calls run as they come, which is an order of every kind
            self._scope = active.trace.scope
            open_block(self._scope, is_steps=self.is_steps)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._scope is not None:
            close_block(self._scope)
            self._scope = None


class steps(_Block):  # noqa: N801 (used like a statement)
    """``with steps():`` makes each call wait for the one before it.

    A called pipeline, a map, a branch and a group of ``parallel()`` count as one call.
    """

    __slots__ = ()
    is_steps = True


class parallel(_Block):  # noqa: N801 (used like a statement)
    """``with parallel():`` opens a group whose calls run side by side, inside ``steps()`` or an ordered pipeline."""

    __slots__ = ()


def open_block(scope: Scope, *, is_steps: bool, after: tuple[Draft, ...] = ()) -> Frame:
    """Open a block inside the innermost one; its calls also wait for ``after``."""
    frame = Frame((*scope.frames[-1].waits, *after), is_steps=is_steps)
    scope.frames.append(frame)
    return frame


def close_block(scope: Scope) -> None:
    """Close the innermost block, which becomes one member of the one around it."""
    frame = scope.frames.pop()
    scope.frames[-1].add_block(frame.exits())


def calls_of(value: Any, operation: str) -> list[Draft]:
    """The calls that a value stands for, when it is used to say an order.

    Raises:
        DefinitionError: It holds no result of a call.
    """
    drafts: list[Draft] = []
    for placeholder in placeholders_in(value):
        drafts += _drafts_of(placeholder, operation)
    if not drafts:
        uncalled = next((part for part in (value if isinstance(value, list) else [value]) if callable(part)), None)
        if uncalled is not None:
            raise DefinitionError(
                f"{operation} at {here()} was given {uncalled!r} itself, and an order is between calls. "
                f"Call it: {getattr(uncalled, '__name__', 'task')}(...)."
            )
        raise DefinitionError(
            f"{operation} at {here()} was given {value!r}, which is not the result of a call, so there is nothing to wait for. "
            "Give it what a task call returned, or a list of these; for a pipeline that returns nothing, use `with steps():`."
        )
    return drafts


def refuse_uncalled(value: Any, _: object) -> NoReturn:
    """What ``>>`` means between tasks or pipelines themselves: parentheses that are missing."""
    calls_of(value, ">>")
    raise AssertionError(value)


def _drafts_of(placeholder: Traced, operation: str) -> list[Draft]:
    origin = placeholder.__pyflow_origin__
    if not origin.scope.trace.is_open:
        raise DefinitionError(f"{operation} was used at {here()} on {describe(placeholder)}. {ended(placeholder)}")
    if not isinstance(origin, Draft):
        raise DefinitionError(
            f"{operation} was used at {here()} on {describe(placeholder)}. A parameter is there from the start, so there is nothing to "
            "wait for: use the result of a call."
        )
    trace = active.trace
    if trace is not None and origin.scope.trace is not trace:
        raise cannot_use(placeholder, trace.scope)
    return list(placeholder.__pyflow_span__ or (origin,))


def add_edges(before: list[Draft], after: list[Draft], operation: str) -> None:
    """Make each of ``after`` wait for each of ``before``; calls of one inlined pipeline count as one step."""
    inner = {draft.id for draft in after}
    for late in after:
        if len(after) > 1 and not inner.isdisjoint(late.needs | late.after):
            continue  # another call of the same group, which waits, comes before it
        for early in before:
            _add_edge(early, late, operation)


def _add_edge(early: Draft, late: Draft, operation: str) -> None:
    seen = visible_from(early, late.scope)
    if seen is None:
        raise DefinitionError(
            f"{operation} at {here()}: {late.name!r} (called at {late.at}) is in the body of a map and cannot wait for {early.name!r} "
            f"(called at {early.at}) outside of it. Let the whole map wait: task.after(...).map(...)."
        )
    if _holds(seen, late) and seen is not early:
        raise DefinitionError(
            f"{operation} at {here()}: {early.name!r} and {late.name!r} are on two sides of the `when` at {seen.at}. Only one of them "
            "runs, so there is no order between them."
        )
    if seen.id in late.needs or seen.id in late.after:
        return
    trace = late.scope.trace
    if seen.id >= late.id:
        trace.has_backward_edge = True
    if trace.has_backward_edge:
        refuse_cycle(seen, late, operation)
    late.after.add(seen.id)


def _holds(outer: Draft, inner: Draft) -> bool:
    draft: Draft | None = inner
    while draft is not None and draft is not outer:
        draft = draft.scope.owner
    return draft is not None
