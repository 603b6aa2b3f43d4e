"""Functions that every worker has: for helper nodes that only tell facts about values of other nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


def identity(value: object) -> object:
    """The value itself; its node tells how many items it has."""
    return value


def nothing() -> None:
    """No value; its node tells whether a condition holds."""


BUILTINS: Final[dict[str, Callable[..., Any]]] = {"identity": identity, "nothing": nothing}
