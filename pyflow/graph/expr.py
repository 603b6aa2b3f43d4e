"""How an argument of a node is made: from constants, results of other nodes and inputs of a region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

from pyflow.graph.location import Location

Step: TypeAlias = "tuple[OneOf['item', 'attr'], object]"
"""One way into a value: ``("item", key)`` for ``value[key]``, ``("attr", name)`` for ``value.name``."""

Path: TypeAlias = "tuple[Step, ...]"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that was known while tracing."""

    value: object


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of a node, or a part of it."""

    node: int
    path: Path = ()
    at: Location | None = field(default=None, compare=False)
    """Where the part was taken, for messages."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the region around, or a part of it."""

    index: int
    path: Path = ()
    at: Location | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Build:
    """A container that holds other expressions.

    ``keys`` are the keys of a dict, or the field names of an object (a dataclass or a named tuple) of
    class ``type``; lists and tuples have none.
    """

    kind: OneOf["list", "tuple", "dict", "object"]
    items: tuple[Expr, ...]
    keys: tuple[object, ...] = ()
    type: type | None = None


Expr: TypeAlias = "Literal | Ref | Input | Build"

CompareOp: TypeAlias = OneOf["lt", "le", "eq", "ne", "gt", "ge"]


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two values, by the function of that name in the module ``operator``."""

    op: CompareOp
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of a value, as ``bool`` tells it."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions put together: ``and`` and ``or`` of two, ``not`` of one."""

    op: OneOf["and", "or", "not"]
    operands: tuple[Condition, ...]


Condition: TypeAlias = "Compare | Truth | Logic"


def leaves(expr: Expr) -> Iterator[Literal | Ref | Input]:
    """The parts of an expression that hold no other, from left to right."""
    if isinstance(expr, Build):
        for item in expr.items:
            yield from leaves(item)
    else:
        yield expr


def operands(condition: Condition) -> Iterator[Expr]:
    """The values that a condition looks at, from left to right."""
    if isinstance(condition, Compare):
        yield condition.left
        yield condition.right
    elif isinstance(condition, Truth):
        yield condition.value
    else:
        for operand in condition.operands:
            yield from operands(operand)
