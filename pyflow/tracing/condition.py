"""What a comparison of placeholders gives: a condition, for ``when`` and nothing else."""

from __future__ import annotations

from typing import NoReturn

from pyflow.errors import DefinitionError
from pyflow.graph import Condition as Expression
from pyflow.graph import Location, Logic
from pyflow.tracing.location import here, library_here
from pyflow.tracing.recorder import Trace


class Condition:
    """A question about values that do not exist yet; only ``when`` and ``& | ~`` may use it."""

    __slots__ = ("at", "expression", "is_used", "needs", "text", "trace", "users")

    def __init__(self, trace: Trace, expression: Expression, needs: set[int], text: str) -> None:
        self.trace = trace
        self.expression = expression
        self.needs = needs
        self.text = text
        self.at: Location = here()
        self.is_used = False
        trace.conditions.append(self)

    def __repr__(self) -> str:
        return f"<condition {self.text}>"

    def __and__(self, other: object) -> Condition:
        return _both(self, other, "and")

    def __or__(self, other: object) -> Condition:
        return _both(self, other, "or")

    def __invert__(self) -> Condition:
        self.is_used = True
        return Condition(self.trace, Logic("not", (self.expression,)), self.needs, f"~({self.text})")

    def __bool__(self) -> NoReturn:
        self.is_used = True  # this error is about it; a second one would only repeat it
        library = library_here()
        if library is not None:
            raise DefinitionError(
                f"A call into {library!r} at {here()} asks for ({self.text}), and while the pipeline is traced nobody knows it: the values "
                "do not exist yet, only placeholders for them. Call it inside a task, which gets the values as arguments."
            )
        raise DefinitionError(
            f"The truth of the condition ({self.text}) of {self.at} was asked for at {here()}, by `if`, `and`, `or`, `not`, `in`, "
            "`assert`, a chained comparison or bool(). While the pipeline is traced nobody knows it. Write `with when(condition):` "
            "and `with otherwise():` instead of `if`, and put conditions together by `&`, `|` and `~`, each comparison in brackets."
        )


def _both(left: Condition, right: object, op: str) -> Condition:
    if not isinstance(right, Condition):
        return NotImplemented  # type: ignore[no-any-return]  # a placeholder answers for itself
    left.is_used = right.is_used = True
    sign = "&" if op == "and" else "|"
    expression = Logic("and" if op == "and" else "or", (left.expression, right.expression))
    return Condition(left.trace, expression, left.needs | right.needs, f"({left.text}) {sign} ({right.text})")


def misplaced(condition: Condition, *, what: str) -> DefinitionError:
    """The error for a condition where a value should be."""
    condition.is_used = True
    return DefinitionError(
        f"{what} is the condition ({condition.text}) of {condition.at}, used at {here()}. A condition may only be used by `when` "
        "and by `&`, `|`, `~`. To have the answer as a value, write a task that compares."
    )
