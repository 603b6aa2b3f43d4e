"""The small functions that every peer runs as tasks."""

from __future__ import annotations


def inc(x: int) -> int:
    """One more than `x`: the link of the chain."""
    return x + 1


def square(x: int) -> int:
    """`x` times itself: the item of the fan."""
    return x * x


def total(xs: list[int]) -> int:
    """The sum of `xs`: the join of the fan."""
    return sum(xs)
