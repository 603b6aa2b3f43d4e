"""Conditions: ``with when(...):``, ``with otherwise():`` and ``first_of(...)``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, TypeVar

from pyflow.errors import DefinitionError
from pyflow.graph import Expr, SelectNode
from pyflow.tracing.condition import Condition
from pyflow.tracing.drafts import BranchDraft, Draft, LeafDraft, Scope, visible_from
from pyflow.tracing.location import here
from pyflow.tracing.order import Statement
from pyflow.tracing.placeholder import Placeholder, truth
from pyflow.tracing.recorder import Trace, active
from pyflow.tracing.traced import Traced, cannot_use
from pyflow.tracing.values import express

T = TypeVar("T")


class _Missing:
    def __repr__(self) -> str:
        return "<no default>"


_MISSING: Final = _Missing()


def _trace(what: str) -> Trace:
    if active.trace is None:
        raise DefinitionError(
            f"{what} was used at {here()}, outside of a pipeline's body. There, values exist: use `if` and `else`."
        )
    return active.trace


class when(metaclass=Statement):  # noqa: N801 (used like a statement)
    """``with when(score > 0.9):`` records calls that run only if the condition holds.

    A placeholder instead of a comparison means the truth of its value. Values leave the block through
    ``first_of``.
    """

    __slots__ = ("_condition", "_inside")

    def __init__(self, condition: Any) -> None:
        trace = _trace("when()")
        if isinstance(condition, Placeholder):
            condition = truth(condition, "when()")
        if not isinstance(condition, Condition):
            raise DefinitionError(
                f"when() at {here()} was given {condition!r}. It takes a comparison of a task's result, such as score > 0.9, or a "
                "result itself; what is known while tracing is asked by a plain `if`."
            )
        if condition.trace is not trace:
            raise DefinitionError(
                f"when() at {here()} was given the condition ({condition.text}) of {condition.at}, which belongs to another trace."
            )
        condition.is_used = True
        self._condition = condition
        self._inside: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        trace, condition = _trace("when()"), self._condition
        scope = trace.scope
        _check_reach(condition, scope)
        name = trace.names.take(f"{scope.prefix}when")
        draft = BranchDraft(scope, name, here(), condition.expression, set(condition.needs))
        trace.record(draft)
        self._inside = trace.inside(draft.then)
        self._inside.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._inside is not None
        self._inside.__exit__(kind, error, traceback)


class otherwise(metaclass=Statement):  # noqa: N801 (used like a statement)
    """``with otherwise():``, right behind a ``with when(...):``, records calls that run if the condition does not hold."""

    __slots__ = ("_inside",)

    def __init__(self) -> None:
        self._inside: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        trace = _trace("otherwise()")
        last = trace.scope.drafts[-1] if trace.scope.drafts else None
        if not isinstance(last, BranchDraft):
            behind = f"; the last call before it is {last.name!r} of {last.at}" if last is not None else ""
            raise DefinitionError(
                f"`with otherwise():` at {here()} does not follow a `with when(...):`{behind}. Write it right behind that block, "
                "indented the same."
            )
        if last.otherwise is not None:
            raise DefinitionError(
                f"`with otherwise():` at {here()} is the second one of the `when` at {last.at}; the first is at {last.otherwise.at}. "
                "For more than two ways, write a `when` inside `otherwise`."
            )
        last.otherwise = last.side(here())
        self._inside = trace.inside(last.otherwise)
        self._inside.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._inside is not None
        self._inside.__exit__(kind, error, traceback)


def _check_reach(condition: Condition, scope: Scope) -> None:
    drafts = condition.trace.drafts
    for needed in sorted(condition.needs):
        if not scope.sees(drafts[needed].scope):
            raise cannot_use(Placeholder(drafts[needed]), scope)


def first_of(*values: T, default: Any = _MISSING) -> T:
    """The first of several values that was made; the way for values to leave the branches of a condition.

    Args:
        default: What it gives when none of them was made; without one, that fails the run.

    Raises:
        DefinitionError: A value is not the result of a call in this pipeline.
    """
    trace = _trace("first_of()")
    scope, at = trace.scope, here()
    if not values:
        raise DefinitionError(f"first_of() at {at} needs at least one value: first_of(a, b), one from each branch.")
    needs: set[int] = set()
    candidates = tuple([_candidate(value, scope, needs) for value in values])
    fallback: Expr | None = None if default is _MISSING else express(default, scope, needs, "the default of first_of()")
    draft = LeafDraft(scope, trace.names.take(f"{scope.prefix}first_of"), at, needs)
    draft.node = SelectNode(id=draft.id, name=draft.name, at=at, candidates=candidates, default=fallback)
    trace.record(draft, is_step=False)
    return Placeholder(draft)  # type: ignore[return-value]


def _candidate(value: Any, scope: Scope, needs: set[int]) -> Expr:
    if not isinstance(value, Traced):
        raise DefinitionError(
            f"first_of() at {here()} was given {value!r}, which is there in any case. It chooses between results of calls; "
            "write default=... for a value to fall back on."
        )
    origin = value.__pyflow_origin__
    if origin.scope.trace is not scope.trace:
        raise cannot_use(value, scope)
    if isinstance(origin, Draft):
        seen = visible_from(origin, scope)
        if seen is None or (seen is not origin and not isinstance(seen, BranchDraft)):
            raise cannot_use(value, scope)
        needs.add(seen.id)
        return origin.expr(value.__pyflow_path__, value.__pyflow_at__)
    return express(value, scope, needs, "a value of first_of()")
