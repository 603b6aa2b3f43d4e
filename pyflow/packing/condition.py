"""A condition as a person would write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyflow.graph import Compare, Condition, Expr, Input, Literal, Logic, Ref, Truth

_SYMBOLS: Final = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}


def condition_text(condition: Condition) -> str:
    """A condition as a person would write it, with nodes by number."""
    if isinstance(condition, Compare):
        return f"{_text(condition.left)} {_SYMBOLS[condition.op]} {_text(condition.right)}"
    if isinstance(condition, Truth):
        return _text(condition.value)
    parts: Sequence[str] = [f"({condition_text(operand)})" for operand in condition.operands]
    return (
        f"not {parts[0]}" if isinstance(condition, Logic) and condition.op == "not" else f" {condition.op} ".join(parts)
    )


def _text(expr: Expr) -> str:
    if isinstance(expr, Literal):
        return repr(expr.value)[:40]
    if isinstance(expr, Ref):
        return f"#{expr.node}"
    return f"input {expr.index}" if isinstance(expr, Input) else "…"
